// Answers to the client's `iq` stanzas: only what a client needs to log in, find devices and fetch keys.
import { baileys } from './libraries.js';

const { getBinaryNodeChild: child, getBinaryNodeChildren: children, jidDecode } = baileys;
const node = (tag, content, attrs = {}) => ({ tag, attrs, content });
const bytes = (parent, tag) => Buffer.from(child(parent, tag).content);

/** The content of the answer, or undefined for an empty one. */
export function answer(server, account, iq) {
  const [first] = Array.isArray(iq.content) ? iq.content : [];
  const { xmlns, type } = iq.attrs;
  switch (`${xmlns} ${type} ${first?.tag ?? ''}`.trim()) {
    case 'encrypt get count':
      return [node('count', undefined, { value: String(account.preKeys) })];
    case 'encrypt get digest':
      return [node('digest', undefined)];
    case 'encrypt get key':
      return [node('list', children(first, 'user').map(({ attrs: { jid } }) => server.deviceAt(jid)?.bundle(jid) ?? node('user', [node('error', undefined, { code: '404' })], { jid })))];
    case 'usync get usync':
      return [node('usync', [node('list', children(child(first, 'list'), 'user').map(user => found(server, first, user)))], { sid: first.attrs.sid, index: '0', last: 'true' })];
    case 'w:mex get query': // whatever it asks of limits: each client takes the part that it asked for
      return server.limits && [node('result', Buffer.from(JSON.stringify({ data: server.limits })))];
    case 'w:m set media_conn':
      return [server.media.connection];
    case 'privacy get privacy':
      return [node('privacy', [node('category', undefined, { name: 'readreceipts', value: 'all' })])];
  }
  if (xmlns === 'encrypt' && type === 'set') store(account, iq);
  if (xmlns === 'abt') return [node('props', [], { hash: 'h' })];
  return undefined;
}

function store(account, iq) {
  const keys = children(child(iq, 'list'), 'key').map(key => [bytes(key, 'id'), bytes(key, 'value')]);
  const skey = child(iq, 'skey');
  account.store(keys, skey && { id: bytes(skey, 'id'), value: bytes(skey, 'value'), signature: bytes(skey, 'signature') });
}

function found(server, usync, user) {
  const asked = child(user, 'contact')?.content?.toString();
  const digits = user.attrs.jid ? jidDecode(user.attrs.jid).user : asked.replace(/\D/g, '');
  const account = server.account(digits);
  const known = account ?? server.contactAt(digits);
  const jid = user.attrs.jid ?? `${digits}@s.whatsapp.net`;
  const wanted = children(child(usync, 'query'), 'devices').length > 0 || !asked;
  if (!wanted) return node('user', [node('contact', undefined, { type: known && !server.faults.hides(digits) ? 'in' : 'out' })], { jid });
  const devices = account ? [{ id: '0' }, { id: String(account.deviceId), 'key-index': String(account.keyIndex) }] : known ? [{ id: '0' }] : [];
  const content = [node('devices', [node('device-list', devices.map(attrs => node('device', undefined, attrs)))])];
  // Without it a client finds no keys for a number that it knows by digits alone.
  if (known) content.push(node('lid', undefined, { val: `${known.lid}@lid` }));
  return node('user', content, { jid });
}
