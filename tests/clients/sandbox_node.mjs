// The official Node SDK buys, changes and cancels a subscription at the sandbox, and lets time pass.
//
// It knows nothing of Tollgate: whatever it is told here, it takes for Stripe. The purchase is completed
// by the calls that Stripe's own page makes. Environment: SANDBOX_URL.

import Stripe from 'stripe';

import { receive } from './receiver.mjs';
import { Tally, until } from './tally.mjs';

const sandbox = new URL(process.env.SANDBOX_URL);
const key = 'sk_test_tollgate0123456789abcdef';
const success = 'http://127.0.0.1:9/success?session={CHECKOUT_SESSION_ID}';
const day = 86_400;

const tally = new Tally('sandbox-node');
const check = (...given) => tally.check(...given);

const client = (secretKey = key) =>
  new Stripe(secretKey, {
    host: sandbox.hostname,
    port: sandbox.port,
    protocol: 'http',
    maxNetworkRetries: 0,
    telemetry: false,
  });
const stripe = client();

/** A call of the API that the SDK has no method for. */
async function call(method, path, form) {
  const reply = await fetch(new URL(path, sandbox), {
    method,
    headers: { Authorization: `Bearer ${key}` },
    body: form && new URLSearchParams(form),
    signal: AbortSignal.timeout(10_000),
  });
  return { status: reply.status, body: await reply.json() };
}

/** The class of the SDK's error, and what is in it. */
async function refusal(promise) {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    const { type, statusCode = null, code = null, param = null } = error;
    return [type, error instanceof Stripe.errors.StripeError, statusCode, code, param];
  }
}

const plain = async (list) => {
  const all = [];
  for await (const one of list) all.push(one);
  return all;
};
const ids = (list) => list.map((one) => one.id);

async function catalogue() {
  const product = await stripe.products.create({ name: 'Fremen access' });
  const price = (unit_amount) =>
    stripe.prices.create({
      product: product.id,
      currency: 'usd',
      unit_amount,
      recurring: { interval: 'month' },
      lookup_key: `node_${unit_amount}`,
    });
  const prices = [await price(1500), await price(4500)];
  const moved = await stripe.prices.create({
    product: product.id,
    currency: 'usd',
    unit_amount: 1600,
    recurring: { interval: 'month' },
    lookup_key: 'node_1500',
    transfer_lookup_key: true,
  });
  const found = await stripe.prices.list({ lookup_keys: ['node_1500'] });
  check('a lookup key moves to a newer price', ids(found.data), [moved.id]);
  return prices;
}

async function purchase(customer, price) {
  const session = await stripe.checkout.sessions.create({
    mode: 'subscription',
    customer: customer.id,
    line_items: [{ price: price.id, quantity: 2 }],
    subscription_data: { metadata: { account_id: 'tabr' } },
    success_url: success,
    cancel_url: 'http://127.0.0.1:9/cancel',
  });
  check('a new session is open and unpaid', [session.status, session.payment_status], ['open', 'unpaid']);
  check('it costs twice its price', [session.amount_total, session.currency], [3000, 'usd']);

  const method = await stripe.paymentMethods.create({ type: 'card', card: { token: 'tok_visa' } });
  const page = await call('GET', `/v1/payment_pages/${session.id}`);
  check('the page knows its session', [page.status, page.body.session_id ?? page.body.id], [200, session.id]);
  const paid = await call('POST', `/v1/payment_pages/${session.id}/confirm`, {
    payment_method: method.id,
    expected_amount: '3000',
  });
  check('the page takes the payment', [paid.status, paid.body.error?.message], [200, undefined]);

  const done = await stripe.checkout.sessions.retrieve(session.id, {
    expand: ['subscription', 'line_items', 'customer'],
  });
  check('the session is complete and paid', [done.status, done.payment_status], ['complete', 'paid']);
  check('its customer expands', [done.customer.object, done.customer.id], ['customer', customer.id]);
  const [item] = done.subscription.items.data;
  check('its subscription is active', done.subscription.status, 'active');
  check('two of the price are bought', [item.price.id, item.quantity], [price.id, 2]);
  check('the month is on the item', item.current_period_end - item.current_period_start >= 28 * day, true);
  check('and nowhere else', done.subscription.current_period_end, undefined);
  return done.subscription;
}

async function changes(subscription, price) {
  const [item] = subscription.items.data;
  const preview = await stripe.invoices.createPreview({
    subscription: subscription.id,
    subscription_details: {
      items: [{ id: item.id, price: price.id, quantity: 1 }],
      proration_behavior: 'always_invoice',
    },
  });
  const upgraded = await stripe.subscriptions.update(subscription.id, {
    items: [{ id: item.id, price: price.id, quantity: 1 }],
    proration_behavior: 'always_invoice',
    expand: ['latest_invoice.payments'],
  });
  const [now] = upgraded.items.data;
  check('an upgrade is in force at once', [now.id, now.price.id, now.quantity], [item.id, price.id, 1]);
  const invoice = upgraded.latest_invoice;
  check('the difference is paid', [invoice.status, invoice.total], ['paid', 1500]);
  check('the preview told it', preview.total, invoice.total);
  check(
    'an invoice names its subscription',
    invoice.parent.subscription_details.subscription,
    subscription.id,
  );
  check('an invoice names its payment', invoice.payments.data[0].payment.payment_intent.slice(0, 3), 'pi_');

  const ending = await stripe.subscriptions.update(subscription.id, { cancel_at_period_end: true });
  check(
    'a cancellation waits for the end',
    [ending.status, ending.cancel_at],
    ['active', now.current_period_end],
  );
  const gone = await stripe.subscriptions.cancel(subscription.id, {
    cancellation_details: { comment: 'the desert calls' },
  });
  check(
    'or comes at once',
    [gone.status, gone.cancellation_details.reason],
    ['canceled', 'cancellation_requested'],
  );
}

/** A year of Stripe in a moment: what the test clock is for. */
async function time(price) {
  const start = Math.floor(Date.now() / 1000);
  const clock = await stripe.testHelpers.testClocks.create({ frozen_time: start, name: 'renewals' });
  const customer = await stripe.customers.create({
    test_clock: clock.id,
    payment_method: 'pm_card_visa',
    invoice_settings: { default_payment_method: 'pm_card_visa' },
  });
  const subscription = await stripe.subscriptions.create({
    customer: customer.id,
    items: [{ price: price.id }],
    trial_period_days: 7,
  });
  check('a trial begins', [subscription.status, subscription.trial_end], ['trialing', start + 7 * day]);
  const advance = async (frozen_time) => {
    await stripe.testHelpers.testClocks.advance(clock.id, { frozen_time });
    await until('the clock to be ready', async () => {
      const { status } = await stripe.testHelpers.testClocks.retrieve(clock.id);
      return status === 'ready' ? status : undefined;
    });
    return stripe.subscriptions.retrieve(subscription.id, { expand: ['latest_invoice'] });
  };
  const renewed = await advance(start + 7 * day + 2 * 3600);
  check(
    'after the trial it is paid for',
    [renewed.status, renewed.latest_invoice.status],
    ['active', 'paid'],
  );
  check('with the price of a month', renewed.latest_invoice.amount_paid, 1500);

  const bad = await stripe.paymentMethods.attach('pm_card_chargeCustomerFail', { customer: customer.id });
  await stripe.customers.update(customer.id, { invoice_settings: { default_payment_method: bad.id } });
  const failed = await advance(renewed.items.data[0].current_period_end + 2 * 3600);
  check('a renewal that fails', [failed.status, failed.latest_invoice.status], ['past_due', 'open']);
  check('was tried once', failed.latest_invoice.attempt_count, 1);
  const good = await stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
  const paid = await stripe.invoices.pay(failed.latest_invoice.id, { payment_method: good.id });
  check('and can be paid after all', [paid.status, paid.attempt_count], ['paid', 2]);
  const healed = await stripe.subscriptions.retrieve(subscription.id);
  check('which heals the subscription', healed.status, 'active');
}

/** Downgrading at the period's end, and the page where customers do it themselves. */
async function later(customer, [small, large]) {
  const card = await stripe.paymentMethods.attach('pm_card_visa', { customer: customer.id });
  const subscription = await stripe.subscriptions.create({
    customer: customer.id,
    items: [{ price: large.id }],
    default_payment_method: card.id,
  });
  const schedule = await stripe.subscriptionSchedules.create({ from_subscription: subscription.id });
  const [phase] = schedule.phases;
  const planned = await stripe.subscriptionSchedules.update(schedule.id, {
    end_behavior: 'release',
    phases: [
      { items: [{ price: large.id, quantity: 1 }], start_date: phase.start_date, end_date: phase.end_date },
      { items: [{ price: small.id, quantity: 1 }], duration: { interval: 'month', interval_count: 1 } },
    ],
  });
  check(
    'a downgrade is planned',
    planned.phases.map((one) => one.items[0].price),
    [large.id, small.id],
  );
  const now = await stripe.subscriptions.retrieve(subscription.id);
  check('and not in force yet', [now.items.data[0].price.id, now.schedule], [large.id, schedule.id]);
  const released = await stripe.subscriptionSchedules.release(schedule.id);
  check('a plan can be given up', released.status, 'released');

  const portal = await stripe.billingPortal.sessions.create({
    customer: customer.id,
    return_url: 'http://127.0.0.1:9/account',
  });
  const page = await fetch(portal.url, { signal: AbortSignal.timeout(10_000) });
  check(
    'the portal has a page',
    [page.status, page.headers.get('content-type')],
    [200, 'text/html; charset=utf-8'],
  );

  const refund = async () => {
    const payments = await stripe.invoicePayments.list({ invoice: subscription.latest_invoice });
    return stripe.refunds.create({ payment_intent: payments.data[0].payment.payment_intent });
  };
  const { status, amount } = await refund();
  check('a payment is given back', [status, amount], ['succeeded', 4500]);
  check('and not twice', (await refusal(refund())).slice(0, 4), [
    'StripeInvalidRequestError',
    true,
    400,
    'charge_already_refunded',
  ]);
}

async function pages() {
  const paged = await plain(stripe.events.list({ limit: 3 }));
  const whole = await plain(stripe.events.list({ limit: 100 }));
  check('pages of three add up to the whole', ids(paged), ids(whole));
  check('no event comes twice', new Set(ids(paged)).size, paged.length);
  const kinds = ['invoice.payment_failed', 'customer.subscription.deleted'];
  const found = await plain(stripe.events.list({ types: kinds, limit: 1 }));
  check('events are found by type', new Set(found.map((event) => event.type)).size, 2);
}

async function refusals() {
  const once = { idempotencyKey: 'node-once' };
  const first = await stripe.customers.create({ name: 'Chani' }, once);
  const again = await stripe.customers.create({ name: 'Chani' }, once);
  check('the same key gives the same customer', again.id, first.id);
  check('and says so', again.lastResponse.headers['idempotent-replayed'], 'true');
  check(
    'the same key for something else is refused',
    (await refusal(stripe.customers.create({ name: 'Jessica' }, once))).slice(0, 3),
    ['StripeIdempotencyError', true, 400],
  );
  check('an unknown id', await refusal(stripe.subscriptions.retrieve('sub_nothing')), [
    'StripeInvalidRequestError',
    true,
    404,
    'resource_missing',
    'id',
  ]);
  check('a parameter nobody knows', await refusal(stripe.customers.create({ colour: 'sand' })), [
    'StripeInvalidRequestError',
    true,
    400,
    'parameter_unknown',
    'colour',
  ]);
  check('a key nobody knows', (await refusal(client('rk_nonsense').customers.list())).slice(0, 3), [
    'StripeAuthenticationError',
    true,
    401,
  ]);
  const declined = stripe.paymentIntents.create({
    amount: 500,
    currency: 'usd',
    confirm: true,
    payment_method: 'pm_card_chargeDeclined',
    return_url: 'http://127.0.0.1:9/',
  });
  check('a card that is declined', (await refusal(declined)).slice(0, 4), [
    'StripeCardError',
    true,
    402,
    'card_declined',
  ]);
}

/** What goes wrong on the way, as scripted, and what the SDK makes of it. */
async function trouble() {
  const script = async (fault) => {
    const reply = await fetch(new URL('/_sandbox/faults', sandbox), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ path: '/v1/customers', method: 'POST', times: 1, fault }),
    });
    if (!reply.ok) throw new Error(`the fault is not taken: ${reply.status} ${await reply.text()}`);
  };
  await script({ kind: 'status', status: 429 });
  check('too many requests', (await refusal(stripe.customers.create({ name: 'too fast' }))).slice(0, 3), [
    'StripeRateLimitError',
    true,
    429,
  ]);
  const faults = {
    'an answer that was lost': { kind: 'cut', accepted: true },
    'an error after the effect': { kind: 'status', status: 500, accepted: true },
    'a connection cut before it': { kind: 'cut' },
    'a lock held by someone else': { kind: 'status', status: 409 },
  };
  const email = 'once@example.com';
  for (const [name, fault] of Object.entries(faults)) {
    await script(fault);
    const made = await stripe.customers.create({ email, name }, { maxNetworkRetries: 2 });
    const same = (await plain(stripe.customers.list({ email }))).filter((one) => one.name === name);
    check(`${name}: the SDK asks again, and it is done once`, ids(same), [made.id]);
  }
  const left = await fetch(new URL('/_sandbox/faults', sandbox));
  check('all that was scripted has happened', await left.json(), { faults: [] });
}

async function deliveries(receiver, endpoint, since) {
  const expected = ids(await plain(stripe.events.list({ ending_before: since, limit: 3 })));
  const seen = () =>
    receiver.letters.map(({ body, signature }) =>
      stripe.webhooks.constructEvent(body, signature, endpoint.secret),
    );
  await until('all deliveries', () => {
    const arrived = new Set(ids(seen()));
    return expected.every((id) => arrived.has(id)) ? arrived : undefined;
  });
  check('every event was delivered and verifies', [...new Set(ids(seen()))].sort(), [...expected].sort());
  check('in the version of its endpoint', new Set(seen().map((event) => event.api_version)).size, 1);
  check('which was asked for', seen()[0].api_version, '2025-03-31.basil');
  await stripe.webhookEndpoints.del(endpoint.id);
  check(
    'a removed endpoint is gone',
    (await refusal(stripe.webhookEndpoints.retrieve(endpoint.id)))[3],
    'resource_missing',
  );
}

async function story() {
  const customer = await stripe.customers.create({ email: 'chani@example.com' });
  const [since] = (await stripe.events.list({ limit: 1 })).data;
  const receiver = await receive();
  const endpoint = await stripe.webhookEndpoints.create({
    url: receiver.url,
    enabled_events: ['*'],
    api_version: '2025-03-31.basil',
  });
  const prices = await catalogue();
  const subscription = await tally.part('the purchase', () => purchase(customer, prices[0]));
  await tally.part('changing', () => changes(subscription, prices[1]));
  await tally.part('time', () => time(prices[0]));
  await tally.part('what is planned', () => later(customer, prices));
  await tally.part('pages', pages);
  await tally.part('refusals', refusals);
  await tally.part('trouble', trouble);
  await tally.part('deliveries', () => deliveries(receiver, endpoint, since.id));
  receiver.close();
}

await tally.part('the story', story);
tally.finish();
