// The official Node SDK signs; a running Tollgate answers.
//
// Environment: TOLLGATE_URL, STRIPE_WEBHOOK_SECRET (comma-separated, two of them), RUN_ID (makes event
// ids unique). Run from the folder that npm installed the SDK into.

import Stripe from 'stripe';

import { Tally } from './tally.mjs';

const url = process.env.TOLLGATE_URL;
const [secret, oldSecret] = process.env.STRIPE_WEBHOOK_SECRET.split(',');
const run = process.env.RUN_ID;
const stripe = new Stripe('sk_test_tollgate_signs_only');

const tally = new Tally('node');
const check = (...arguments_) => tally.check(...arguments_);

const now = () => Math.floor(Date.now() / 1000);

function customer(name) {
  return {
    id: `evt_tollgate_${run}_${name}`,
    object: 'event',
    api_version: '2026-10-28.endive',
    created: now(),
    data: {
      object: {
        id: `cus_tollgate_${run}_${name}`,
        object: 'customer',
        created: now(),
        livemode: false,
        metadata: { account_id: `${run}_${name}` },
      },
    },
    livemode: false,
    pending_webhooks: 1,
    request: { id: null, idempotency_key: null },
    type: 'customer.created',
  };
}

const sign = (payload, options = {}) =>
  stripe.webhooks.generateTestHeaderString({ payload, secret, ...options });

async function deliver(payload, header, path = '/api/v1/billing/webhook') {
  const reply = await fetch(url + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json; charset=utf-8', 'Stripe-Signature': header },
    body: payload,
    signal: AbortSignal.timeout(10_000),
  });
  const { status } = await reply.json();
  return [reply.status, reply.ok ? status : undefined];
}

const body = JSON.stringify(customer('first'));
check('an event signed by the SDK is processed', await deliver(body, sign(body)), [200, 'processed']);
check('the same event again is a duplicate', await deliver(body, sign(body)), [200, 'duplicate']);

const rotated = JSON.stringify(customer('rotated'), null, 2);
const both = sign(rotated, { secret: oldSecret });
check('a second secret counts while rotating', await deliver(rotated, both), [200, 'processed']);

const aliases = ['/api/billing/webhook', '/api/v1/stripe/webhook', '/api/webhooks/stripe', '/webhooks/stripe'];
for (const path of aliases) {
  const payload = JSON.stringify(customer(`alias${aliases.indexOf(path)}`));
  check(`${path} is the same route`, await deliver(payload, sign(payload), path), [200, 'processed']);
}

const refused = [
  ['a body changed after signing', (payload) => [`${payload} `, sign(payload)]],
  ['a foreign secret', (payload) => [payload, sign(payload, { secret: 'whsec_someone_else' })]],
  ['a signature of scheme v0', (payload) => [payload, sign(payload, { scheme: 'v0' })]],
  ['a signature 310 s old', (payload) => [payload, sign(payload, { timestamp: now() - 310 })]],
  ['a signature an hour ahead', (payload) => [payload, sign(payload, { timestamp: now() + 3600 })]],
];
for (const [name, make] of refused) {
  const payload = JSON.stringify(customer(`refused${refused.findIndex(([other]) => other === name)}`));
  check(`${name} is refused`, await deliver(...make(payload)), [400, undefined]);
}

// A burst over many connections: each event once, whatever else arrives with it.
const burst = Array.from({ length: 200 }, (_, index) => JSON.stringify(customer(`burst${index % 100}`)));
const replies = await Promise.all(burst.map((payload) => deliver(payload, sign(payload))));
const count = (status) => replies.filter(([code, seen]) => code === 200 && seen === status).length;
check('of 200 at once, each pair takes effect once', [count('processed'), count('duplicate')], [100, 100]);

tally.finish();
