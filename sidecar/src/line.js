// The life of one number: pairs, connects, comes back, and stops where coming back would be wrong.
import { proto } from 'baileys';

import { authState, wipe } from './auth_state.js';
import { LeaseLost } from './leases.js';
import { write } from './log.js';
import { NewChats } from './new_chats.js';
import { afterClose, backoff, Refused } from './refusals.js';
import { Sending } from './sending.js';
import { openSocket } from './socket.js';

const ALERTS_KEPT = 20;
const STOPPED = new Set(['absent', 'expired', 'elsewhere', 'logged_out', 'banned']);
const { CIPHERTEXT } = proto.WebMessageInfo.StubType;

export class Line {
  /** When the first message went out since a stanza of a person came in. */
  unheardSince;
  #deps;
  #onLost;
  #status = { state: 'absent', me: null, qr: null, code: null, close: null, retry_at: null, alerts: [] };
  #socket;
  #auth;
  #sending;
  #newChats = new NewChats();
  #phone;
  #timer;
  #attempt = 0;
  #stopped = false;
  #saving = Promise.resolve();
  #draining = Promise.resolve();
  #willDrain = false;
  #reported;

  /** @param {{instance_id: string, organization_id: string, fence: string}} row @param {() => void} onLost */
  constructor(row, deps, onLost) {
    this.instanceId = row.instance_id;
    this.organizationId = row.organization_id;
    this.fence = row.fence;
    this.leasedUntil = Date.now() + deps.settings.leaseMs;
    this.#deps = deps;
    this.#onLost = onLost;
    this.#sending = new Sending(() => this.socket, deps.settings.ackMs, () => this.#socket?.end(new Error('no acknowledgement')));
  }

  get status() {
    return { instance_id: this.instanceId, ...this.#status, new_chats: this.#newChats.told ?? null };
  }

  /** The socket if messages may go over it; throws `Refused` if not. */
  get socket() {
    const { state, close, retry_at: retryAt } = this.#status;
    if (!this.#stopped && state === 'open' && this.#socket && Date.now() <= this.leasedUntil) return this.#socket;
    const wait = retryAt ? Math.max(0, Date.parse(retryAt) - Date.now()) : undefined;
    throw new Refused('offline', { state, close_code: close?.code, retry_after_ms: wait });
  }

  /** Take up the number: what the journal still holds goes out, and a paired account is opened. */
  async start({ paired }) {
    this.drain();
    if (paired) await this.#open();
  }

  /** Connect or pair, by QR, or by a code for `phone`; nothing if it is under way already. */
  async connect(phone) {
    if (this.#phone !== phone && this.#status.state === 'qr') await this.#close();
    else if (!STOPPED.has(this.#status.state)) return;
    this.#phone = phone;
    this.#attempt = 0;
    await this.#open();
  }

  /** @param {{id: string, to: string, content: object}} message @param {() => boolean} isGone */
  async send(message, isGone) {
    void this.socket; // refused before anybody is counted
    const accepted = await this.#newChats.guard(message, () => this.#sending.send(message, isGone));
    this.unheardSince ??= Date.now();
    return accepted;
  }

  /** Unlink the account from its phone if it can be reached, and forget all that could open it. */
  async logout() {
    await this.#detached()?.logout().catch(error => write('warning', 'logout.unheard', { instance_id: this.instanceId, reason: error.message }));
    await this.#saving;
    this.#auth?.retire();
    await wipe(this.#deps.pool, this);
    this.#become('absent', { me: null });
    this.#report();
  }

  /** Leave the number to others: no more sends, no more commits. */
  async stop() {
    this.#stopped = true;
    await this.#close();
    await this.#saving;
    await this.#draining;
  }

  /** Raise an alert when messages go out and nothing has come back for long. */
  check(now = Date.now()) {
    if (this.#status.state !== 'open' || !this.unheardSince || now - this.unheardSince < this.#deps.settings.silentMs) return;
    this.alert('connected_but_silent', `sent ${Math.round((now - this.unheardSince) / 1000)} s ago, and neither receipt nor message came`);
    this.unheardSince = undefined;
  }

  /** Have a message in the journal before its keys move on. */
  async keep(chat, entry) {
    await this.#deps.inbound.keep(this, chat, entry).catch(error => this.#storageFailed(error));
    this.#deps.die('after-journal');
    this.drain();
  }

  /** Hand the journal's messages to the queue, one after the other; what fails stays and is tried again. */
  drain() {
    if (this.#willDrain || this.#stopped) return; // a look that is still to come sees this one too
    this.#willDrain = true;
    this.#draining = this.#draining.then(() => this.#drainAll()).catch(error => {
      write('warning', 'journal.waits', { instance_id: this.instanceId, reason: error.message });
      setTimeout(() => this.drain(), 1_000).unref();
    });
  }

  async #drainAll() {
    const { inbound, die } = this.#deps;
    this.#willDrain = false;
    for (let kept; (kept = await inbound.oldest(this.instanceId)).length; ) {
      for (const { number, entry } of kept) {
        die('before-enqueue');
        await inbound.handleIncomingMessage(this, entry);
        await inbound.forget(this.instanceId, number);
      }
    }
  }

  async #open() {
    clearTimeout(this.#timer);
    this.#become('connecting');
    try {
      const auth = await authState(this.#deps.pool, this, this.#deps.seal, error => this.#storageFailed(error));
      if (this.#stopped) return;
      this.#auth = auth;
      this.#socket = this.#listen(auth);
    } catch (error) {
      if (error instanceof LeaseLost) this.#onLost();
      else this.#later(error.message);
    }
  }

  #listen(auth) {
    const socket = openSocket(this, auth, this.#deps);
    socket.ev.on('creds.update', () => {
      this.#saving = this.#saving.then(() => auth.save()).catch(() => {}); // `onFailure` has closed the link already
    });
    const isOurs = () => socket === this.#socket;
    this.#newChats.follow(socket, this.instanceId, () => isOurs() && this.#report());
    socket.ev.on('messages.upsert', ({ messages }) => {
      const unread = messages.filter(({ messageStubType, key }) => messageStubType === CIPHERTEXT && !key.fromMe);
      for (const { key } of unread) this.alert('undecryptable', `message ${key.id}; its sender was asked to send it anew`);
    });
    socket.ev.on('connection.update', update => {
      if (isOurs()) this.#changed(socket, auth, update).catch(error => this.#later(error.message));
    });
    return socket;
  }

  async #changed(socket, auth, { qr, connection, lastDisconnect, reachoutTimeLock: lock }) {
    if (qr && this.#phone) this.#become('qr', { code: this.#status.code ?? (await socket.requestPairingCode(this.#phone.replace('+', ''))) });
    else if (qr) this.#become('qr', { qr });
    if (connection === 'open') {
      this.#attempt = 0;
      this.unheardSince = undefined;
      this.#become('open', { me: auth.creds.me?.id?.split(':')[0] ?? null });
    }
    if (lock?.isActive) this.alert('reachout_timelock', `no new chats until ${lock.timeEnforcementEnds?.toISOString?.() ?? 'WhatsApp lifts it'}`);
    if (connection === 'close') await this.#closed(auth, lastDisconnect?.error);
  }

  async #closed(auth, error) {
    const code = error?.output?.statusCode;
    this.#socket = undefined;
    await this.#saving;
    auth.retire();
    if (this.#stopped) return;
    const close = { code: code ?? null, reason: String(error?.message ?? 'closed').slice(0, 200) };
    const next = afterClose(code, { pairing: !auth.creds.account });
    if (next === 'restart' && this.#attempt++ === 0) return this.#open();
    if (next === 'restart' || next === 'again') return this.#later(close.reason, close);
    if (next === 'logged_out' || next === 'banned') await wipe(this.#deps.pool, this);
    if (next !== 'expired') this.alert(next, `WhatsApp closed the link with code ${code}`);
    this.#become(next, { close, ...(next === 'elsewhere' ? {} : { me: null }) });
    this.#report();
  }

  #later(reason, close = null) {
    if (this.#stopped) return;
    const wait = backoff(this.#attempt++, this.#deps.settings, Math.random());
    this.#become('waiting', { close, retry_at: new Date(Date.now() + wait).toISOString() });
    if (this.#attempt > 1) this.#report(reason); // back at the first try, it was not away for its users
    write('info', 'link.closed', { instance_id: this.instanceId, reason, retry_in_ms: wait });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  // Before Baileys can answer the server for a message that we could not keep: without an answer it is delivered again.
  #storageFailed(error) {
    write('error', 'storage.failed', { instance_id: this.instanceId, reason: error.message });
    if (error instanceof LeaseLost) this.#onLost();
    else this.#socket?.end(new Error('our storage failed'));
    throw error;
  }

  #detached() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = undefined;
    return socket;
  }

  async #close() {
    const socket = this.#detached();
    this.#status.state = 'absent';
    socket?.ev.removeAllListeners('connection.update');
    await socket?.end(undefined);
  }

  alert(kind, detail) {
    this.#status.alerts = [...this.#status.alerts, { kind, detail, at: new Date().toISOString() }].slice(-ALERTS_KEPT);
    write('error', 'alert', { instance_id: this.instanceId, organization_id: this.organizationId, kind, detail });
  }

  #become(state, more = {}) {
    Object.assign(this.#status, { qr: null, code: null, close: null, retry_at: null }, more, { state });
    write('info', 'number.state', { instance_id: this.instanceId, state });
  }

  // Only once it is known whether an open number is locked. What it means `messaging/instance_states` decides.
  #report(reason = null) {
    const { locked = false, locked_until: lockedUntil = null } = this.#newChats.told ?? {};
    const details = { state: this.#status.state, reason, locked, locked_until: lockedUntil };
    if (JSON.stringify(details) === this.#reported) return;
    this.#reported = JSON.stringify(details);
    this.#deps.inbound.handleConnection(this, details).catch(error => this.alert('connection_untold', error.message));
  }
}
