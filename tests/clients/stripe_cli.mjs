// Stripe's own command line against the sandbox: `trigger`, `events resend`, and `listen` forwarding to a
// running Tollgate.
//
// Environment: STRIPE_CLI (the binary), STRIPE_HOME (an empty folder for its settings), SANDBOX_URL,
// TOLLGATE_URL (a server that has the secret of `listen`), TOLLGATE_BINARY, TOLLGATE_DIR and DATABASE_URL (to
// look into its inbox), STRIPE_WEBHOOK_SECRET (that secret).

import { execFile, spawn } from 'node:child_process';
import readline from 'node:readline';
import { promisify } from 'node:util';

import Stripe from 'stripe';

import { receive } from './receiver.mjs';
import { Tally, until } from './tally.mjs';

const { env } = process;
const key = 'sk_test_tollgate0123456789abcdef';
const run = promisify(execFile);
const sandbox = new URL(env.SANDBOX_URL);
const stripe = new Stripe(key, { host: sandbox.hostname, port: sandbox.port, protocol: 'http' });
const tally = new Tally('stripe-cli');

// The command line asks for newer versions of itself; a proxy that is not there keeps it on this machine.
const cliOptions = {
  env: {
    PATH: env.PATH,
    HOME: env.STRIPE_HOME,
    STRIPE_CLI_TELEMETRY_OPTOUT: '1',
    HTTPS_PROXY: 'http://127.0.0.1:9',
    NO_PROXY: '127.0.0.1',
  },
};
const cliArguments = (words) => [...words, '--api-base', sandbox.origin, '--api-key', key, '--color', 'off'];

/** What a command said, and how it ended. */
async function cli(...words) {
  try {
    const { stdout, stderr } = await run(env.STRIPE_CLI, cliArguments(words), {
      ...cliOptions,
      timeout: 60_000,
    });
    return { code: 0, said: stdout + stderr };
  } catch (error) {
    return { code: error.code ?? -1, said: `${error.stdout}${error.stderr}` };
  }
}

async function events(since, type) {
  const found = [];
  for await (const event of stripe.events.list({
    ...(since && { ending_before: since }),
    ...(type && { type }),
    limit: 100,
  })) {
    found.push(event);
  }
  return found;
}

const newest = async () => (await stripe.events.list({ limit: 1 })).data[0]?.id;

/** Each trigger, what its event must be about, and what the API must say of that object afterwards. */
const triggers = {
  'checkout.session.completed': {
    object: {
      object: 'checkout.session',
      mode: 'payment',
      status: 'complete',
      payment_status: 'paid',
      amount_total: 3000,
      currency: 'usd',
    },
    read: (id) => stripe.checkout.sessions.retrieve(id),
  },
  'customer.subscription.created': {
    object: {
      object: 'subscription',
      status: 'active',
      collection_method: 'charge_automatically',
      livemode: false,
    },
    read: (id) => stripe.subscriptions.retrieve(id),
  },
  'customer.subscription.updated': {
    object: { object: 'subscription', status: 'active', metadata: { foo: 'bar' } },
    previous: { metadata: { foo: null } },
    read: (id) => stripe.subscriptions.retrieve(id),
  },
  'customer.subscription.deleted': {
    object: { object: 'subscription', status: 'canceled', cancel_at_period_end: false },
    read: (id) => stripe.subscriptions.retrieve(id),
  },
  'customer.subscription.paused': {
    object: { object: 'subscription', status: 'paused', default_payment_method: null },
    read: (id) => stripe.subscriptions.retrieve(id),
  },
  'customer.subscription.trial_will_end': {
    object: { object: 'subscription', status: 'trialing' },
    read: (id) => stripe.subscriptions.retrieve(id),
  },
  'invoice.paid': {
    object: { object: 'invoice', status: 'paid', amount_paid: 2000, amount_remaining: 0, parent: null },
    read: (id) => stripe.invoices.retrieve(id),
  },
  'invoice.payment_failed': {
    object: {
      object: 'invoice',
      status: 'open',
      attempted: true,
      attempt_count: 1,
      amount_paid: 0,
      amount_remaining: 2000,
    },
    read: (id) => stripe.invoices.retrieve(id),
  },
  'charge.refunded': {
    object: { object: 'charge', status: 'succeeded', refunded: true, amount: 100, amount_refunded: 100 },
    read: (id) => stripe.charges.retrieve(id),
  },
  'charge.dispute.created': {
    object: { object: 'dispute', amount: 100, status: 'warning_needs_response' },
    read: (id) => stripe.disputes.retrieve(id),
  },
  'checkout.session.async_payment_succeeded': {
    object: {
      object: 'checkout.session',
      mode: 'payment',
      status: 'complete',
      payment_status: 'paid',
      amount_total: 3000,
      currency: 'eur',
    },
    read: (id) => stripe.checkout.sessions.retrieve(id),
  },
};

async function trigger(type, { object, previous, read }) {
  const before = await newest();
  const { code, said } = await cli('trigger', type);
  tally.check(`trigger ${type} succeeds`, [code, said.includes('Trigger succeeded!') ? '' : said], [0, '']);
  if (code !== 0) return;
  const event = await until(`an event ${type}`, async () => (await events(before, type))[0]);
  const told = event.data.object;
  tally.matches(`${type} tells of what was done`, told, object);
  if (previous) tally.check(`${type} tells what it was before`, event.data.previous_attributes, previous);
  tally.matches(`${told.id} is so in the API as well`, await read(told.id), { id: told.id, ...object });
}

/** The other triggers of what Tollgate acts on or keeps apart, and what their events are about. */
const others = {
  charge: ['charge.failed', 'charge.succeeded'],
  'checkout.session': ['checkout.session.async_payment_failed', 'checkout.session.expired'],
  customer: ['customer.created', 'customer.deleted', 'customer.updated'],
  dispute: ['charge.dispute.closed', 'charge.dispute.updated'],
  invoice: [
    'invoice.created',
    'invoice.finalized',
    'invoice.marked_uncollectible',
    'invoice.payment_action_required',
    'invoice.payment_succeeded',
    'invoice.updated',
    'invoice.voided',
  ],
  payment_intent: ['payment_intent.payment_failed', 'payment_intent.succeeded'],
  payment_method: ['payment_method.attached', 'payment_method.detached'],
  price: ['price.created', 'price.updated'],
  product: ['product.deleted', 'product.updated'],
  subscription_schedule: [
    'subscription_schedule.canceled',
    'subscription_schedule.created',
    'subscription_schedule.released',
    'subscription_schedule.updated',
  ],
};

async function triggerOther(type, noun) {
  const before = await newest();
  const { code, said } = await cli('trigger', type);
  tally.check(`trigger ${type} succeeds`, [code, code === 0 ? '' : said], [0, '']);
  const event = await until(`an event ${type}`, async () => (await events(before, type))[0]);
  tally.check(`${type} is about a ${noun}`, event.data.object.object, noun);
}

async function unsupported() {
  const { code, said } = await cli('trigger', 'no.such_event');
  tally.check(
    'trigger refuses what it does not know',
    [code !== 0, /not supported/.test(said)],
    [true, true],
  );
}

/** A recipe step that is refused ends the trigger, with the refusal in its words. */
async function refused() {
  const { code, said } = await cli(
    'trigger',
    'customer.subscription.created',
    '--override',
    'subscription:customer=cus_nobody',
  );
  tally.check(
    'a refused step fails the trigger',
    [code !== 0, said.includes('resource_missing')],
    [true, true],
  );
}

async function resend() {
  const receiver = await receive();
  const endpoint = await stripe.webhookEndpoints.create({
    url: receiver.url,
    enabled_events: ['customer.deleted'],
  });
  const [event] = await events(undefined, 'customer.subscription.deleted');
  const { code } = await cli('events', 'resend', event.id, '--webhook-endpoint', endpoint.id);
  tally.check('events resend is taken', code, 0);
  const { body, signature } = await until('the event again', () => receiver.letters[0]);
  const again = stripe.webhooks.constructEvent(body, signature, endpoint.secret);
  tally.check('the same event comes again', [again.id, again.type], [event.id, event.type]);
  const unknown = await cli('events', 'resend', 'evt_nothing', '--webhook-endpoint', endpoint.id);
  tally.check('an unknown event is refused', unknown.code !== 0 || unknown.said.includes('No such'), true);
  await stripe.webhookEndpoints.del(endpoint.id);
  receiver.close();
}

/** `stripe listen`, until it is ready; its lines are kept. */
async function listen() {
  const words = [
    'listen',
    '--all-snapshot',
    '--no-wss',
    '--skip-update',
    '--forward-to',
    `${env.TOLLGATE_URL}/api/v1/billing/webhook`,
  ];
  const process_ = spawn(env.STRIPE_CLI, cliArguments(words), {
    ...cliOptions,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines = [];
  for (const stream of [process_.stdout, process_.stderr]) {
    readline.createInterface({ input: stream }).on('line', (line) => lines.push(line));
  }
  const ended = new Promise((resolve) => process_.on('exit', (code, signal) => resolve(code ?? signal)));
  const ready = await until('listen to be ready', () => {
    if (process_.exitCode !== null) throw new Error(`listen ended: ${lines.join('\n')}`);
    return lines.find((line) => line.includes('Ready!'));
  });
  return {
    lines,
    secret: /whsec_\w+/.exec(ready)?.[0],
    version: /API Version \[([^\]]+)\]/.exec(ready)?.[1],
    stop: () => {
      process_.kill('SIGINT');
      return ended;
    },
  };
}

/** The inbox of Tollgate, by event. */
async function inbox() {
  const rows = new Map();
  let cursor;
  do {
    const words = ['events', 'list', '--json', '--limit', '100', ...(cursor ? ['--cursor', cursor] : [])];
    const options = { cwd: env.TOLLGATE_DIR, env: { PATH: env.PATH, DATABASE_URL: env.DATABASE_URL } };
    const { stdout } = await run(env.TOLLGATE_BINARY, words, options);
    const page = JSON.parse(stdout);
    for (const row of page.data) rows.set(row.id, row);
    cursor = page.nextCursor;
  } while (cursor);
  return rows;
}

async function forwarding() {
  const listening = await listen();
  try {
    await forwarded(listening);
  } finally {
    await listening.stop();
  }
}

async function forwarded(listening) {
  const before = await newest();
  tally.check('listen has the secret it printed before', listening.secret, env.STRIPE_WEBHOOK_SECRET);
  tally.check('listen speaks of the newest version', listening.version, '2026-10-28.endive');

  const owned = [
    '--add',
    'customer:metadata.account_id=sietch_tabr',
    '--add',
    'subscription:metadata.account_id=sietch_tabr',
  ];
  const { code, said } = await cli('trigger', 'customer.subscription.deleted', ...owned);
  tally.check('trigger runs while listen listens', [code, code === 0 ? '' : said], [0, '']);
  const expected = await events(before);
  const [ended] = expected.filter((event) => event.type === 'customer.subscription.deleted');
  tally.check('many events came of it', expected.length >= 10, true);

  // An event that comes before the one that tells whose it is waits for that one: to be in the inbox is
  // not to be settled. How long is the product's affair (a test of the service bounds it); that it ends
  // is what is asked here.
  let rows = new Map();
  const state = (event) => rows.get(event.id)?.status ?? 'not there';
  const isOpen = (event) => !['processed', 'ignored'].includes(state(event));
  const open = await until('every event to be settled', async () => {
    rows = await inbox();
    return expected.some(isOpen) ? undefined : [];
  }).catch(() => expected.filter(isOpen).map((event) => [event.type, state(event)]));
  tally.check('every event is settled', open, []);
  tally.matches('the cancellation is processed for its account', rows.get(ended.id), {
    type: 'customer.subscription.deleted',
    status: 'processed',
    accountId: 'sietch_tabr',
    object: ended.data.object.id,
    duplicates: 0,
  });

  const answered = () => listening.lines.filter((line) => line.includes('<--')).length;
  await until('an answer for each', () => (answered() >= expected.length ? true : undefined));
  const unhappy = listening.lines.filter((line) => line.includes('<--') && !line.includes('[200]'));
  tally.check('listen saw nothing but 200', unhappy, []);

  const again = await cli('events', 'resend', ended.id);
  tally.check('events resend reaches listen', again.code, 0);
  const repeated = await until('the duplicate', async () => {
    const row = (await inbox()).get(ended.id);
    return row.duplicates > 0 ? row : undefined;
  });
  tally.matches('and is known as the same', repeated, { status: 'processed', duplicates: 1 });
}

await tally.part('trigger', async () => {
  await stripe.customers.create({ name: 'before everything' });
  for (const [type, expected] of Object.entries(triggers)) {
    await tally.part(type, () => trigger(type, expected));
  }
});
await tally.part('the other triggers', async () => {
  for (const [noun, types] of Object.entries(others)) {
    for (const type of types) await tally.part(type, () => triggerOther(type, noun));
  }
});
await tally.part('an unknown trigger', unsupported);
await tally.part('a refused step', refused);
await tally.part('resend', resend);
await tally.part('listen', forwarding);
tally.finish();
