// What tests order and look at, as JSON over HTTP.
const ORDERS = {
  '/admin/contacts': (server, { users }) => users.forEach(user => server.contact(user)),
  '/admin/scan': (server, { qr, user }) => server.scan(qr, user),
  '/admin/write': async (server, order) => ({ id: await server.write(order) }),
  '/admin/tell': (server, order) => server.tell(order),
  '/admin/fault': (server, order) => server.faults.order(order),
  '/admin/recover': server => server.faults.clear(),
  '/admin/drop': (server, { user }) => server.account(user)?.connection?.drop(),
  '/admin/close': (server, { user, code }) => server.close(user, code),
  '/admin/notify': (server, { user, op, data }) => server.notify(user, op, data),
  '/admin/limits': (server, { limits }) => void (server.limits = limits),
  '/admin/tells': (server, { tells }) => (server.tells = tells),
  '/admin/forget-files': server => server.media.forget(),
  '/admin/ledger': server => server.ledger.list(),
  '/admin/receipts': server => server.receipts,
  '/admin/account': (server, { user }) => {
    const account = server.account(user);
    return { linked: Boolean(account), connected: Boolean(account?.connection), waiting: [...(account?.waiting.keys() ?? [])] };
  },
};

export async function administer(server, request, response) {
  const order = ORDERS[request.url];
  try {
    const parts = [];
    for await (const part of request) parts.push(part);
    const given = JSON.parse(Buffer.concat(parts).toString() || '{}');
    if (!order) throw new Error(`no such order: ${request.url}`);
    const answer = await order(server, given);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? null));
  } catch (error) {
    response.writeHead(order ? 400 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: error.message }));
  }
}
