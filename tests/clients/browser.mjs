// A real browser buys, fails to pay and changes its mind at `tollgate dev`; time is moved by the sandbox.
//
// Environment: CHROMIUM (the browser), TOLLGATE_URL and TOLLGATE_KEY (of `tollgate dev`), SANDBOX_URL (its
// Stripe). With SCREENSHOTS, a folder, every page looked at is kept there.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import { chromium } from 'playwright-core';

import { startApplication } from './application.mjs';
import { Tally, until } from './tally.mjs';

const { env } = process;
const tally = new Tally('browser');
const axeSource = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const application = await startApplication({ tollgate: env.TOLLGATE_URL, key: env.TOLLGATE_KEY });
const browser = await chromium.launch({
  executablePath: env.CHROMIUM,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--disable-background-networking',
    // Nothing but this machine: a page that wants something from elsewhere does not get it.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  ],
});

const minute = 60_000;
const elsewhere = [];
const complaints = [];

/** Somebody at a browser of their own. */
async function visitor(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol.startsWith('http') && hostname !== '127.0.0.1') elsewhere.push(request.url());
  });
  page.on('console', (message) => {
    const ours = page.url().startsWith(env.SANDBOX_URL);
    if (ours && message.type() === 'error') complaints.push(`${page.url()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.message}`));
  return page;
}

const button = (page, name) => page.getByRole('button', { name });

/** What the application shows: the plan and whether the feature is open. */
async function shown(page) {
  await page.waitForURL((url) => url.origin === application.origin);
  return [await page.locator('#plan').textContent(), await page.locator('#access').textContent()];
}

/** The page has no fault that a machine can find, in light and dark, and fits a telephone. */
async function wellMade(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axeSource);
    const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
    const faults = violations.flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.target} ${node.failureSummary}`),
    );
    tally.check(`${name}, ${colorScheme}: nothing to object to`, faults, []);
    tally.check(`${name}, ${colorScheme}: it was looked at`, passes.length > 5, true);
    await keep(page, `${name} ${colorScheme}`);
  }
  const before = page.viewportSize();
  await page.setViewportSize({ width: 360, height: 740 });
  const overhang = await page.evaluate(() => document.documentElement.scrollWidth - globalThis.innerWidth);
  tally.check(`${name}: fits a telephone`, overhang <= 0, true);
  await keep(page, `${name} telephone`);
  await page.setViewportSize(before);
  await page.emulateMedia({ colorScheme: 'light' });
}

async function keep(page, name) {
  if (!env.SCREENSHOTS) return;
  await page.screenshot({ path: `${env.SCREENSHOTS}/${name.replaceAll(' ', '-')}.png`, fullPage: true });
}

/** The sandbox's own controls. */
async function control(method, path, body) {
  const reply = await fetch(`${env.SANDBOX_URL}/_sandbox${path}`, {
    method,
    headers: { ...(body && { 'Content-Type': 'application/json' }) },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await reply.text();
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

const now = async () => Date.parse((await control('GET', '/clock')).now);

/** Moves the clock of the sandbox and of Tollgate to an instant, in milliseconds. */
async function moveTo(instant) {
  await control('POST', '/clock', { to: Math.ceil(instant / 1000) });
  tally.check('the clock has moved', (await now()) >= instant, true);
}

async function stripe(path, options = {}) {
  const headers = { Authorization: 'Bearer sk_test_tollgate0123456789abcdef' };
  const reply = await fetch(`${env.SANDBOX_URL}/v1${path}`, { ...options, headers });
  return reply.json();
}

const subscriptionOf = (account) => application.ask('GET', `/billing/subscription?accountId=${account}`);

/** From the application to the hosted page, and there to a button. */
async function goToCheckout(page, account, tier) {
  await page.goto(`${application.origin}/?account=${account}`);
  await page.getByRole('link', { name: `Upgrade to ${tier}` }).click();
  await page.waitForURL(`${env.SANDBOX_URL}/c/pay/**`);
}

async function buys(account, tier, page) {
  await goToCheckout(page, account, tier);
  await button(page, /^Pay(?! later)/).click();
  tally.check(`${account} is on ${tier} at once`, await shown(page), [
    tier,
    tier === 'basic' ? 'closed' : 'open',
  ]);
}

async function purchase() {
  const page = await visitor();
  await page.goto(`${application.origin}/?account=arrakeen`);
  tally.check('before it is bought the feature is closed', await shown(page), ['starter', 'closed']);
  await goToCheckout(page, 'arrakeen', 'premium');
  const hosted = page.url();
  await wellMade(page, 'checkout');
  tally.check(
    'the page says what is to pay',
    (await page.locator('main').textContent()).includes('$35.00'),
    true,
  );

  await button(page, /^Pay(?! later)/).focus();
  await page.keyboard.press('Enter');
  tally.check('back from the page the feature is open', await shown(page), ['premium', 'open']);

  await page.goto(hosted);
  tally.check('who has paid cannot pay again', await button(page, /^Pay/).count(), 0);
  await wellMade(page, 'checkout paid');
  await page.goto(`${application.origin}/upgrade?account=arrakeen&tier=premium`);
  tally.check('nor buy a second time', (await page.locator('body').textContent()).includes('409'), true);
  await page.context().close();
}

async function failure() {
  const page = await visitor();
  await goToCheckout(page, 'giedi', 'premium');
  await button(page, /^(Fail|Decline)/).click();
  await page.getByRole('alert').waitFor();
  await wellMade(page, 'checkout declined');
  const { canAccess } = await application.check('giedi');
  tally.check('a declined card opens nothing', canAccess, false);
  await button(page, /^Pay(?! later)/).click();
  tally.check('another try is taken', await shown(page), ['premium', 'open']);
  await page.context().close();
}

/** A purchase by bank debit, which no plan of this catalog takes: asked for as an application would. */
async function later() {
  const page = await visitor();
  const form = {
    mode: 'payment',
    'line_items[0][price_data][currency]': 'usd',
    'line_items[0][price_data][unit_amount]': '499',
    'line_items[0][price_data][product_data][name]': 'Spice',
    'line_items[0][quantity]': '2',
    success_url: `${application.origin}/?account=kaitain`,
  };
  const session = await stripe('/checkout/sessions', { method: 'POST', body: new URLSearchParams(form) });
  await page.goto(session.url);
  await wellMade(page, 'checkout once');
  await button(page, /^Pay later/).click();
  tally.check('who pays later goes on', await shown(page), ['starter', 'closed']);
  const state = async () => {
    const { status, payment_status } = await stripe(`/checkout/sessions/${session.id}`);
    return [status, payment_status];
  };
  tally.check('the session is complete and not paid', await state(), ['complete', 'unpaid']);
  await page.goto(env.SANDBOX_URL);
  await button(page, /^Let the payment arrive/).click();
  await page.getByRole('status').waitFor();
  tally.check('until the money arrives', await state(), ['complete', 'paid']);
  await page.context().close();
}

async function withoutScripts() {
  const page = await visitor({ javaScriptEnabled: false });
  await buys('caladan', 'basic', page);
  await page.goto(`${application.origin}/billing?account=caladan`);
  await page.waitForURL(`${env.SANDBOX_URL}/p/session/**`);
  tally.check('the portal needs no script either', await button(page, /^Cancel/).count(), 1);
  await page.context().close();
}

/** Opens the portal as the application's billing link does. */
async function portal(page, account) {
  await page.goto(`${application.origin}/billing?account=${account}`);
  await page.waitForURL(`${env.SANDBOX_URL}/p/session/**`);
}

async function planDowngrade(page) {
  await portal(page, 'giedi');
  await wellMade(page, 'portal');
  await button(page, /Basic/).first().click();
  await page.getByRole('status').waitFor();
  await wellMade(page, 'portal downgrade');
  const { tier, currentPeriodEnd } = await subscriptionOf('giedi');
  tally.check('a downgrade waits', tier, 'premium');
  return Date.parse(currentPeriodEnd);
}

async function changeOfMind(page) {
  await portal(page, 'caladan');
  await button(page, /^Cancel/).click();
  const ending = await until('the cancellation', async () => {
    const one = await subscriptionOf('caladan');
    return one.cancelAtPeriodEnd ? one : undefined;
  });
  tally.check('who cancels keeps what is paid', [ending.tier, ending.status], ['basic', 'active']);
  await wellMade(page, 'portal ending');
  await button(page, /^(Resume|Keep|Renew)/).click();
  await until('the change of mind', async () =>
    (await subscriptionOf('caladan')).cancelAtPeriodEnd ? undefined : true,
  );
  await page.getByRole('link', { name: /^(Return|Back)/ }).click();
  tally.check('and can stay', await shown(page), ['basic', 'closed']);
}

async function breakCard(page) {
  await portal(page, 'arrakeen');
  await button(page, /fail/i).first().click();
  await page.getByRole('status').waitFor();
  await keep(page, 'portal card that fails');
}

/** Just before the periods end all is as it was; at the end the one fails to pay, the other is on less. */
async function periodEnds(downgradeAt) {
  const failsAt = Date.parse((await subscriptionOf('arrakeen')).currentPeriodEnd);
  await moveTo(Math.min(failsAt, downgradeAt) - minute);
  const before = await Promise.all(['arrakeen', 'giedi'].map((account) => application.check(account)));
  tally.check(
    'a minute before the end nothing has changed',
    before.map((one) => one.tier),
    ['premium', 'premium'],
  );

  await moveTo(downgradeAt);
  const lowered = await until('the downgrade', async () => {
    const one = await application.check('giedi');
    return one.tier === 'basic' ? one : undefined;
  });
  tally.matches('at the end the downgrade is in force', lowered, {
    canAccess: false,
    requiredTier: 'premium',
  });

  // The invoice of a renewal is a draft for an hour; only then is the card tried.
  await moveTo(failsAt + 61 * minute);
  const grace = await until('the grace', async () => {
    const one = await application.check('arrakeen');
    return one.inGracePeriod ? one : undefined;
  });
  const failed = await stripe('/events?type=invoice.payment_failed&limit=1');
  tally.matches('in its grace the feature stays', grace, {
    canAccess: true,
    tier: 'premium',
    graceUntil: grace.validUntil,
  });
  tally.check(
    'a day from the failure',
    Date.parse(grace.graceUntil),
    (failed.data[0].created + 86_400) * 1000,
  );
  return Date.parse(grace.graceUntil);
}

async function graceEnds(page, end) {
  const at = async (instant) => {
    const { canAccess, reason } = await application.check('arrakeen', {
      at: new Date(instant).toISOString(),
    });
    return [canAccess, reason.code];
  };
  tally.check('a millisecond before its end it is foreseen open', await at(end - 1), [
    true,
    'granted_by_grace',
  ]);
  tally.check('at its end it is foreseen closed', await at(end), [false, 'payment_past_due']);

  await moveTo(end - minute);
  await page.goto(`${application.origin}/?account=arrakeen`);
  tally.check('a minute before the end it is open', await shown(page), ['premium', 'open']);
  await moveTo(end);
  await page.reload();
  tally.check('at the end it is closed', await shown(page), ['starter', 'closed']);
  tally.check(
    'looking back agrees',
    [await at(end - 1), await at(end)],
    [
      [true, 'granted_by_grace'],
      [false, 'payment_past_due'],
    ],
  );

  await portal(page, 'arrakeen');
  await wellMade(page, 'portal past due');
  await button(page, /works/i).first().click();
  const pay = button(page, /^Pay/).first();
  if (await pay.count()) await pay.click();
  await until('the payment after all', async () =>
    (await application.check('arrakeen')).canAccess ? true : undefined,
  );
  await page.goto(`${application.origin}/?account=arrakeen`);
  tally.check('who pays after all is back', await shown(page), ['premium', 'open']);
}

async function dashboard() {
  const page = await visitor();
  await page.goto(env.SANDBOX_URL);
  await wellMade(page, 'dashboard');
  await page.context().close();
}

try {
  await tally.part('the purchase', purchase);
  await tally.part('the failure', failure);
  await tally.part('paying later', later);
  await tally.part('without scripts', withoutScripts);
  const page = await visitor();
  const downgradeAt = await tally.part('the downgrade', () => planDowngrade(page));
  await tally.part('the change of mind', () => changeOfMind(page));
  await tally.part('the card', () => breakCard(page));
  const end = await tally.part('the end of the period', () => periodEnds(downgradeAt));
  await tally.part('the end of the grace', () => graceEnds(page, end));
  await tally.part('the dashboard', dashboard);
  tally.check('nothing came from elsewhere', elsewhere, []);
  tally.check('no page complained', complaints, []);
} finally {
  await browser.close();
  application.close();
}
tally.finish();
