// One client's link: frames, the handshake, pairing or login, and the stanzas that go over it.
import crypto from 'node:crypto';

import { Account, registration } from './account.js';
import { baileys } from './libraries.js';
import { NoiseResponder } from './noise.js';
import { answer } from './queries.js';

const { decodeBinaryNode, encodeBinaryNode, getBinaryNodeChild: child, getBinaryNodeChildren: children, NOISE_WA_HEADER } = baileys;
const SERVER = '@s.whatsapp.net';
const CODES = 6;
const node = (tag, attrs, content) => ({ tag, attrs, content });
const seconds = () => String(Math.floor(Date.now() / 1000));

export class Connection {
  account;
  pairing;
  #server;
  #socket;
  #noise;
  #received = Buffer.alloc(0);
  #stage = 'intro';
  #work = Promise.resolve();
  #stanzas = 0;

  constructor(server, socket) {
    this.#server = server;
    this.#socket = socket;
    this.#noise = new NoiseResponder(server.key);
    // One frame after the other: the ciphers count.
    socket.on('message', data => {
      this.#work = this.#work.then(() => this.#feed(data)).catch(error => {
        if (this.#socket.readyState === 1) process.stderr.write(`fake: ${error.stack}\n`);
        socket.terminate();
      });
    });
    socket.on('close', () => {
      if (this.account?.connection === this) this.account.connection = undefined;
    });
  }

  send(stanza) {
    if (this.#socket.readyState === 1) this.#frame(this.#noise.seal(encodeBinaryNode(stanza)));
  }

  /** Cut the link, as a network does: nothing is said. */
  drop() {
    this.#socket.terminate();
  }

  /** End the stream with an error, as WhatsApp does. */
  end(stanza) {
    this.send(stanza);
    this.#socket.close();
  }

  /** The phone scanned one of our codes. */
  link(user, secret) {
    this.pairing = new Account(user, this.registration, this.clientKey);
    const { deviceId, lid } = this.pairing;
    this.send(node('iq', { from: SERVER, type: 'set', id: this.#id(), xmlns: 'md', t: seconds() }, [node('pair-success', {}, [
      node('device-identity', {}, this.pairing.vouch(secret)),
      node('device', { jid: `${user}:${deviceId}${SERVER}`, lid: `${lid}:${deviceId}@lid` }),
      node('platform', { name: 'android' }),
    ])]));
  }

  #frame(body) {
    const length = Buffer.alloc(3);
    length.writeUIntBE(body.length, 0, 3);
    this.#socket.send(Buffer.concat([length, body]));
  }

  #id() {
    return `${++this.#stanzas}.fake`;
  }

  async #feed(data) {
    this.#received = Buffer.concat([this.#received, data]);
    if (this.#stage === 'intro') this.#intro();
    while (this.#received.length >= 3) {
      const end = 3 + this.#received.readUIntBE(0, 3);
      if (this.#received.length < end) return;
      const frame = this.#received.subarray(3, end);
      this.#received = this.#received.subarray(end);
      await this.#handle(frame);
    }
  }

  #intro() {
    // A client that was here before says first where it would like to be routed.
    if (this.#received.subarray(0, 2).toString() === 'ED') this.#received = this.#received.subarray(7 + this.#received.readUIntBE(4, 3));
    if (!this.#received.subarray(0, 4).equals(NOISE_WA_HEADER)) throw new Error('not a WhatsApp client');
    this.#received = this.#received.subarray(4);
    this.#stage = 'hello';
  }

  async #handle(frame) {
    if (this.#stage === 'hello') {
      this.#frame(this.#noise.hello(frame, this.#server.certificate));
      this.#stage = 'finish';
    } else if (this.#stage === 'finish') {
      this.#stage = 'open';
      this.#identified(this.#noise.finish(frame));
    } else {
      await this.#stanza(await decodeBinaryNode(this.#noise.open(frame)));
    }
  }

  #identified({ clientKey, payload }) {
    this.clientKey = clientKey;
    if (payload.devicePairingData) return this.#offerCodes(payload.devicePairingData);
    const account = this.#server.account(String(payload.username));
    const reason = account?.refused ?? (account?.deviceId === payload.device && account.clientKey.equals(clientKey) ? undefined : '401');
    if (reason) return this.end(node('failure', { reason }));
    account.connection?.end(node('stream:error', {}, [node('conflict', { type: 'replaced' })]));
    this.account = account;
    account.connection = this;
    this.send(node('success', { t: seconds(), lid: `${account.lid}:${account.deviceId}@lid`, props: '1', companion_enc_static: '' }));
  }

  #offerCodes(data) {
    this.registration = registration(data);
    const codes = Array.from({ length: CODES }, () => `2@${crypto.randomBytes(60).toString('base64')}`);
    for (const code of codes) this.#server.codes.set(code, this);
    this.send(node('iq', { from: SERVER, type: 'set', id: this.#id(), xmlns: 'md' }, [node('pair-device', {}, codes.map(code => node('ref', {}, Buffer.from(code))))]));
  }

  async #stanza(stanza) {
    switch (stanza.tag) {
      case 'iq':
        return this.#query(stanza);
      case 'message':
        return this.#message(stanza);
      case 'receipt':
        return this.#receipt(stanza);
      case 'ack':
        // An acknowledgement with an error follows a wish to have it once more.
        if (stanza.attrs.class === 'message' && !stanza.attrs.error) this.account.waiting.delete(stanza.attrs.id);
        if (stanza.attrs.class === 'receipt') this.account.waiting.delete(`receipt ${stanza.attrs.id} ${stanza.attrs.type}`);
    }
  }

  #query(iq) {
    const [first] = Array.isArray(iq.content) ? iq.content : [];
    if (iq.attrs.type === 'result') {
      if (first?.tag === 'pair-device-sign') this.#paired(child(first, 'device-identity').content);
      return;
    }
    const content = answer(this.#server, this.account, iq);
    this.send(node('iq', { from: iq.attrs.to, id: iq.attrs.id, type: 'result', t: seconds() }, content));
    if (iq.attrs.xmlns === 'passive' && first?.tag === 'active') this.#deliverWaiting();
  }

  #paired(identity) {
    this.pairing.checkCounterSignature(identity);
    this.#server.accounts.set(this.pairing.user, this.pairing);
    this.end(node('stream:error', { code: '515' }));
  }

  #deliverWaiting() {
    const stanzas = [...this.account.waiting.values()];
    for (const stanza of stanzas) this.send({ ...stanza, attrs: { ...stanza.attrs, offline: '1' } });
    this.send(node('ib', { from: SERVER }, [node('offline', { count: String(stanzas.length) })]));
  }

  async #receipt({ attrs }) {
    if (attrs.type === 'retry') await this.#server.repeat(attrs.id);
    if (!attrs.type || attrs.type === 'inactive') this.account.waiting.delete(attrs.id);
    this.#server.receipts.push({ account: this.account.user, id: attrs.id, type: attrs.type ?? 'delivery' });
    this.send(node('ack', { class: 'receipt', id: attrs.id, from: attrs.to, ...(attrs.type ? { type: attrs.type } : {}) }));
  }

  async #message(stanza) {
    const { id, to } = stanza.attrs;
    const contact = this.#server.deviceAt(to);
    const fault = this.#server.faults.take(contact?.user);
    if (fault.kind === 'drop_before') return this.drop();
    const ack = more => this.send(node('ack', { class: 'message', id, from: to, t: seconds(), ...more }));
    // Read even when refused: the keys have moved on.
    const seen = await this.#read(stanza, contact);
    if (fault.kind === 'refuse') return ack({ error: String(fault.code) });
    if (contact && seen) this.#server.shown(this.account, contact, id, seen);
    if (fault.kind === 'drop_after') return this.drop();
    if (fault.kind === 'no_ack') return;
    if (fault.kind === 'slow') setTimeout(ack, fault.ms);
    else ack();
  }

  async #read(stanza, contact) {
    let seen;
    for (const to of children(child(stanza, 'participants'), 'to')) {
      const device = this.#server.deviceAt(to.attrs.jid);
      const enc = child(to, 'enc');
      if (!device) continue;
      const message = await device.decrypt(this.account, { type: enc.attrs.type, body: enc.content });
      if (device === contact) seen = await this.#shown(message);
    }
    return seen;
  }
  /** What its owner sees of a message: words, a file, and the message that it answers. */
  async #shown(message) {
    const part = message.extendedTextMessage ?? Object.values(message).find(value => value?.contextInfo) ?? {};
    const { stanzaId, participant, quotedMessage } = part.contextInfo ?? {};
    const quoted = stanzaId ? { id: stanzaId, participant, text: quotedMessage?.conversation ?? null } : null;
    return { text: message.conversation || message.extendedTextMessage?.text || null, file: (await this.#server.media.shown(message)) ?? null, quoted };
  }
}
