// A WhatsApp Web server on loopback for unmodified clients: accounts, contacts, what they wrote and what they saw.
import crypto from 'node:crypto';
import http from 'node:http';

import { administer } from './admin.js';
import { Connection } from './connection.js';
import { Device } from './device.js';
import { Faults } from './faults.js';
import { Ledger } from './ledger.js';
import { baileys, WebSocketServer } from './libraries.js';
import { MediaHost } from './media.js';
import { certified } from './noise.js';

const { Curve, jidDecode } = baileys;
const SERVER = '@s.whatsapp.net';
const seconds = () => String(Math.floor(Date.now() / 1000));
const drawnId = () => `3A${crypto.randomBytes(9).toString('hex').toUpperCase()}`;

export class FakeWhatsApp {
  key = Curve.generateKeyPair();
  accounts = new Map();
  codes = new Map();
  faults = new Faults();
  media = new MediaHost(this.faults);
  ledger = new Ledger();
  receipts = [];
  /** Whether contacts' phones tell that they got and read a message. */
  tells = true;
  /** What clients that ask are told of writing to strangers; without it they get no answer that they understand. */
  limits;
  #contacts = new Map();
  #written = new Map();
  #http = http.createServer((request, response) => administer(this, request, response));
  #links = new WebSocketServer({ server: this.#http, path: '/ws/chat' });

  constructor() {
    Object.assign(this, certified(this.key));
    this.#links.on('connection', socket => new Connection(this, socket));
  }

  async listen(port = 0) {
    await this.media.listen();
    await new Promise((resolve, reject) => this.#http.once('error', reject).listen(port, '127.0.0.1', resolve));
    return `http://127.0.0.1:${this.#http.address().port}`;
  }

  /** A person with WhatsApp, who is there from the first mention. */
  contact(user) {
    if (!this.#contacts.has(user)) this.#contacts.set(user, new Device(user, `9${user}`));
    return this.#contacts.get(user);
  }

  contactAt(digits) {
    return this.#contacts.get(digits) ?? [...this.#contacts.values()].find(contact => contact.lid === digits);
  }

  account(digits) {
    return this.accounts.get(digits) ?? [...this.accounts.values()].find(account => account.lid === digits);
  }

  deviceAt(jid) {
    const { user, device } = jidDecode(jid) ?? {};
    const account = this.account(user);
    if (!account) return this.contactAt(user);
    return device ? undefined : account.phone;
  }

  /** The phone of `user` scans a QR code. */
  scan(qr, user) {
    const [code, noiseKey, identity, secret] = qr.split('#').pop().split(',');
    const link = this.codes.get(code);
    if (!link) throw new Error('the code is not one of ours, or was used');
    const isTheirs = noiseKey === link.clientKey.toString('base64') && identity === link.registration.identity.toString('base64');
    if (!isTheirs) throw new Error('the code is not that client\'s');
    this.codes.delete(code);
    link.link(user, Buffer.from(secret, 'base64'));
  }

  /**
   * A contact writes a `text`, a `file` or another `message`. `copies` delivers the very same stanza more than once; `anew` encrypts the same message once more,
   * as a phone does that was asked to; `hidden` shows the contact's LID in place of the number; `garbled` breaks it.
   */
  async write(order) {
    const { id = drawnId() } = order;
    this.#written.set(id, order);
    await this.#deliver({ ...order, id });
    return id;
  }

  /** A client could not decrypt: its sender's phone opens a session anew and sends the message once more, unbroken. */
  async repeat(id) {
    const order = this.#written.get(id);
    if (!order) return;
    this.contact(order.from).forget(this.account(order.user));
    await this.#deliver({ ...order, id, garbled: false, copies: 1, anew: false });
  }

  async #deliver({ user, from, text, file, message, id, name = 'Contact', group, copies = 1, anew = false, hidden = false, unresolved = false, garbled = false }) {
    const account = this.account(user);
    const contact = this.contact(from);
    const content = message ?? (file ? await this.media.put(file) : { conversation: text });
    for (let round = 0; round < (anew ? 2 : 1); round++) {
      const enc = group ? await contact.encryptToGroup(account, group, content) : [await contact.encrypt(account, content)];
      if (garbled) enc.at(-1).content[enc.at(-1).content.length - 20] ^= 1; // in the ciphertext: what follows it is not checked
      const stanza = { tag: 'message', attrs: { ...sender(contact, { group, hidden, unresolved }), id, t: seconds(), type: 'text', notify: name }, content: enc };
      account.waiting.set(id, stanza);
      for (let copy = 0; copy < copies; copy++) account.connection?.send(stanza);
    }
  }

  shown(account, contact, id, seen) {
    const isNew = this.ledger.show({ account: account.user, contact: contact.user, id, ...seen });
    if (!isNew || !this.tells) return;
    this.tell({ user: account.user, from: contact.user, id });
    this.tell({ user: account.user, from: contact.user, id, type: 'read' });
  }

  /** A contact's phone tells that a message was delivered, or read. */
  tell({ user, from, id, type }) {
    const attrs = { from: `${from}${SERVER}`, id, t: seconds(), ...(type ? { type } : {}) };
    const stanza = { tag: 'receipt', attrs };
    const { connection, waiting } = this.account(user);
    waiting.set(`receipt ${id} ${type}`, stanza);
    connection?.send(stanza);
  }

  /** Tell a client what became of its account, as WhatsApp does by its query language. */
  notify(user, op, data) {
    const update = { tag: 'update', attrs: { op_name: op }, content: Buffer.from(JSON.stringify({ data })) };
    this.account(user).connection?.send({ tag: 'notification', attrs: { from: 's.whatsapp.net', type: 'mex', id: drawnId(), t: seconds() }, content: [update] });
  }

  /** End the account's stream: 401 unlinks it, 403 refuses it from now on, 440 says that another took its place. */
  close(user, code) {
    const account = this.account(user);
    const conflict = { 401: 'device_removed', 440: 'replaced' }[code];
    const content = conflict && [{ tag: 'conflict', attrs: { type: conflict } }];
    if (code === 401) this.accounts.delete(account.user);
    if (code === 403) account.refused = '403';
    account.connection?.end({ tag: 'stream:error', attrs: { code: String(code) }, content });
  }
}

function sender(contact, { group, hidden, unresolved }) {
  const [number, lid] = [`${contact.user}${SERVER}`, `${contact.lid}@lid`];
  if (group) return { from: group, participant: number, participant_lid: lid };
  if (unresolved) return { from: lid };
  return hidden ? { from: lid, sender_pn: number } : { from: number, sender_lid: lid };
}
