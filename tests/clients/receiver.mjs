// A server of our own that takes deliveries and keeps what was sent, byte for byte.

import http from 'node:http';

export async function receive() {
  const letters = [];
  const server = http.createServer((request, reply) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
      letters.push({ body: Buffer.concat(chunks), signature: request.headers['stripe-signature'] });
      reply.end();
    });
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${server.address().port}/hook`, letters, close };
}
