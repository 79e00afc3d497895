// The smallest application that sells with Tollgate, written as docs/guides/integrate.md tells: it asks for a
// checkout and sends the browser there, lets Tollgate read the session when the browser comes back, and
// asks before it shows a feature. It keeps nothing, and knows nothing of Stripe.

import http from 'node:http';

const feature = 'nine_tier_system';

export async function startApplication({ tollgate, key }) {
  const ask = async (method, path, body) => {
    const reply = await fetch(`${tollgate}/api/v1${path}`, {
      method,
      headers: { Authorization: `Bearer ${key}`, ...(body && { 'Content-Type': 'application/json' }) },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    const answer = await reply.json();
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(answer)}`);
    return answer;
  };
  const check = (accountId, more = {}) => ask('POST', '/feature-check', { accountId, feature, ...more });

  const routes = {
    '/': async (account) => page(account, await check(account)),
    '/upgrade': async (account, query) => {
      const back = `${origin}/success?account=${account}`;
      const { url } = await ask('POST', '/billing/checkout', {
        accountId: account,
        tier: query.get('tier'),
        interval: 'month',
        successUrl: `${back}&session={CHECKOUT_SESSION_ID}`,
        cancelUrl: `${origin}/?account=${account}`,
      });
      return { redirect: url };
    },
    '/success': async (account, query) => {
      const { revision } = await ask('POST', `/billing/checkout/${query.get('session')}/sync`);
      return page(account, await check(account, { minRevision: revision }));
    },
    '/billing': async (account) => {
      const home = encodeURIComponent(`${origin}/?account=${account}`);
      const { url } = await ask('GET', `/billing/portal?accountId=${account}&returnUrl=${home}`);
      return { redirect: url };
    },
  };

  const server = http.createServer(async (request, reply) => {
    const url = new URL(request.url, origin);
    const route = routes[url.pathname];
    if (!route) return reply.writeHead(404).end();
    try {
      const answer = await route(url.searchParams.get('account'), url.searchParams);
      if (answer.redirect) return reply.writeHead(303, { Location: answer.redirect }).end();
      return reply.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(answer);
    } catch (error) {
      return reply.writeHead(500, { 'Content-Type': 'text/plain' }).end(String(error.message));
    }
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const origin = `http://127.0.0.1:${server.address().port}`;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { origin, ask, check, close };
}

function page(account, answer) {
  const links = ['basic', 'premium'].map(
    (tier) => `<a href="/upgrade?account=${account}&tier=${tier}">Upgrade to ${tier}</a>`,
  );
  return `<!doctype html><html lang="en"><head><title>Fremen</title><link rel="icon" href="data:,"></head>
<body><main><h1>Nine ranks</h1><p id="plan">${answer.tier}</p><p id="access">${answer.canAccess ? 'open' : 'closed'}</p>
<p>${links.join(' ')} <a href="/billing?account=${account}">Billing</a></p></main></body></html>`;
}
