// The life of one number: pairs, connects, comes back, and stops where coming back would be wrong.
import { EventEmitter } from 'node:events';

import { proto } from 'baileys';

import { authState, wipe } from './auth_state.js';
import { LeaseLost } from './leases.js';
import { write } from './log.js';
import { NewChats } from './new_chats.js';
import { afterClose, backoff, offline, Refused } from './refusals.js';
import { Sending } from './sending.js';
import { openSocket } from './socket.js';
import { Standing } from './standing.js';

const ALERTS_KEPT = 20;
const STOPPED = new Set(['absent', 'expired', 'elsewhere', 'logged_out', 'banned']);

export class Line extends EventEmitter {
  #deps;
  #socket;
  #auth;
  #sending;
  #newChats;
  #timer;
  #attempt = 0;
  #stopped = false;
  #draining;
  #again = false;
  #saving = Promise.resolve();
  #unheardSince;
  #phone;
  #standing;

  /** @param {{instance_id: string, organization_id: string, fence: string}} row @param {object} deps */
  constructor(row, deps) {
    super();
    this.setMaxListeners(0);
    this.instanceId = row.instance_id;
    this.organizationId = row.organization_id;
    this.fence = row.fence;
    this.leasedUntil = Date.now() + deps.settings.leaseMs;
    this.status = { instance_id: this.instanceId, state: 'absent', me: null, qr: null, code: null, close: null, retryAt: null, alerts: [], new_chats: null };
    this.#deps = deps;
    this.#newChats = new NewChats(deps.pool, this);
    this.#standing = new Standing(this, deps.jobs, this.#newChats);
    this.#sending = new Sending(deps.settings, () => this.#relink('no acknowledgement'));
  }

  /** Take up the number: what the journal still holds goes out, and a paired account is opened. */
  async start() {
    this.drain();
    const { rows } = await this.#deps.pool.query('SELECT paired FROM baileys_sessions WHERE instance_id = $1', [this.instanceId]);
    if (rows[0]?.paired) await this.#open();
  }

  /** Connect or pair, by QR, or by a code for `phone`; nothing if it is under way already. */
  async connect(phone) {
    if (this.#phone !== phone && this.status.state === 'qr') await this.#close();
    else if (!STOPPED.has(this.status.state)) return;
    this.#phone = phone;
    this.#attempt = 0;
    await this.#open();
  }

  /** @param {{id: string, to: string, text: string}} message @param {AbortSignal} gone */
  async send(message, gone) {
    this.#openSocket();
    const accepted = await this.#newChats.guard(message.to, () => this.#sending.send(() => this.#openSocket(), message, gone));
    this.#unheardSince ??= Date.now();
    if (this.status.new_chats) this.status.new_chats = this.#newChats.shown;
    return accepted;
  }

  /** Unlink the account from its phone if it can be reached, and forget all that could open it. */
  async logout() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket) {
      await socket.logout().catch(error => write('warning', 'logout.unheard', { instance_id: this.instanceId, reason: error.message }));
    }
    await this.#saving;
    this.#auth?.retire();
    await wipe(this.#deps.pool, this);
    this.#become('absent', { me: null, qr: null, code: null });
    this.#standing.ended('absent');
  }

  /** Leave the number to others: no more sends, no more commits. */
  async stop() {
    this.#stopped = true;
    await this.#close();
    await this.#saving;
    await this.#draining;
  }

  /** Look whether a restriction ended, and raise an alert when messages go out and nothing has come back for long. */
  check(now = Date.now()) {
    this.#standing.look();
    if (this.status.state !== 'open' || !this.#unheardSince || now - this.#unheardSince < this.#deps.settings.silentMs) return;
    this.alert('connected_but_silent', `sent ${Math.round((now - this.#unheardSince) / 1000)} s ago, and neither receipt nor message came`);
    this.#unheardSince = undefined;
  }

  alert(kind, detail) {
    const alert = { kind, detail, at: new Date().toISOString() };
    this.status.alerts = [...this.status.alerts, alert].slice(-ALERTS_KEPT);
    write('error', 'alert', { instance_id: this.instanceId, organization_id: this.organizationId, kind, detail });
    this.emit('change');
  }

  /** Hand the journal's messages to the queue, one after the other; what fails stays and is tried again. */
  drain() {
    // What is written after the last look, and before its end, must not wait for the next message.
    this.#again = Boolean(this.#draining);
    this.#draining ??= this.#drainAll()
      .catch(error => {
        write('warning', 'journal.waits', { instance_id: this.instanceId, reason: error.message });
        if (!this.#stopped) setTimeout(() => this.drain(), 1_000).unref();
      })
      .finally(() => {
        this.#draining = undefined;
        if (this.#again && !this.#stopped) this.drain();
      });
  }

  async #drainAll() {
    const { journal, jobs, die } = this.#deps;
    for (;;) {
      const kept = await journal.oldest(this.instanceId);
      if (!kept.length) return;
      for (const { number, entry } of kept) {
        die('before-enqueue');
        await jobs.handleIncomingMessage(this, entry);
        await journal.forget(this.instanceId, [number]);
      }
    }
  }

  async #open() {
    clearTimeout(this.#timer);
    this.#become('connecting', { retryAt: null, close: null, qr: null });
    try {
      const auth = await authState(this.#deps.pool, this, this.#deps.seal, error => this.#storageFailed(error));
      if (this.#stopped) return;
      this.#auth = auth;
      this.#socket = this.#listen(auth);
    } catch (error) {
      if (error instanceof LeaseLost) this.#lost();
      else this.#later(error.message);
    }
  }

  #listen(auth) {
    const heard = () => (this.#unheardSince = undefined);
    const socket = openSocket({
      instanceId: this.instanceId,
      auth,
      settings: this.#deps.settings,
      die: this.#deps.die,
      sentText: id => this.#deps.sentText(this.instanceId, id),
      onStanza: heard,
      keep: async (chat, entry) => {
        await this.#keep(chat, entry);
        this.#deps.die('after-journal');
        this.drain();
      },
      // The queue last: it keeps what it finished, so a message that goes on between the two looks is seen.
      isKnown: async ({ from, id, t }) => {
        const { journal, jobs } = this.#deps;
        return (await journal.knows(this.instanceId, from, id)) || (await jobs.has(this.instanceId, id, Number(t) * 1000));
      },
      onReceipt: receipt => this.#deps.jobs.handleReceipt(this, receipt).catch(error => this.alert('receipt_lost', error.message)),
    });
    socket.ev.on('creds.update', () => {
      this.#saving = this.#saving.then(() => auth.save()).catch(() => {}); // `onFailure` has closed the link already
    });
    this.#newChats.follow(
      socket,
      () => {
        this.status.new_chats = this.#newChats.shown;
        this.emit('change');
        if (socket === this.#socket) this.#standing.look();
      },
      () => socket === this.#socket && this.#standing.known(),
    );
    socket.ev.on('messages.upsert', ({ messages }) => {
      for (const { messageStubType, key } of messages) {
        if (messageStubType === proto.WebMessageInfo.StubType.CIPHERTEXT && !key.fromMe) this.alert('undecryptable', `message ${key.id}; its sender was asked to send it anew`);
      }
    });
    socket.ev.on('connection.update', update => {
      if (socket === this.#socket) this.#changed(socket, auth, update).catch(error => this.#later(error.message));
    });
    return socket;
  }

  async #keep(chat, entry) {
    try {
      await this.#deps.journal.write(this, chat, entry);
    } catch (error) {
      this.#storageFailed(error);
      throw error;
    }
  }

  async #changed(socket, auth, update) {
    if (update.qr && this.#phone) {
      const code = this.status.code ?? (await socket.requestPairingCode(this.#phone.replace('+', '')));
      this.#become('qr', { code });
    } else if (update.qr) {
      this.#become('qr', { qr: update.qr });
    }
    if (update.connection === 'open') {
      this.#attempt = 0;
      this.#unheardSince = undefined;
      this.#become('open', { me: auth.creds.me?.id?.split(':')[0] ?? null, qr: null, code: null });
    }
    if (update.reachoutTimeLock?.isActive) this.alert('reachout_timelock', `no new chats until ${update.reachoutTimeLock.timeEnforcementEnds?.toISOString?.() ?? 'WhatsApp lifts it'}`);
    if (update.connection === 'close') await this.#closed(auth, update.lastDisconnect?.error);
  }

  async #closed(auth, error) {
    const code = error?.output?.statusCode;
    const pairing = !auth.creds.account;
    this.#socket = undefined;
    await this.#saving;
    auth.retire();
    if (this.#stopped) return;
    this.status.close = { code: code ?? null, reason: String(error?.message ?? 'closed').slice(0, 200) };
    const next = afterClose(code, { pairing });
    if (next === 'restart' && this.#attempt++ === 0) return this.#open();
    if (next === 'restart') return this.#later('asked to restart, again');
    if (next === 'again') return this.#later(this.status.close.reason);
    if (next === 'logged_out' || next === 'banned') await wipe(this.#deps.pool, this);
    if (next !== 'expired') this.alert(next, `WhatsApp closed the link with code ${code}`);
    this.#become(next, { qr: null, code: null, me: next === 'elsewhere' ? this.status.me : null });
    this.#standing.ended(next);
  }

  #later(reason) {
    if (this.#stopped) return;
    const { backoffMs, backoffCapMs } = this.#deps.settings;
    const wait = backoff(this.#attempt++, { firstMs: backoffMs, capMs: backoffCapMs, chance: Math.random() });
    this.#become('waiting', { retryAt: Date.now() + wait, qr: null });
    this.#standing.away(this.#attempt, reason);
    write('info', 'link.closed', { instance_id: this.instanceId, reason, retry_in_ms: wait });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  // Before Baileys can answer the server for a message that we could not keep: without an answer it is delivered again.
  #storageFailed(error) {
    write('error', 'storage.failed', { instance_id: this.instanceId, reason: error.message });
    if (error instanceof LeaseLost) this.#lost();
    else this.#relink('our storage failed');
  }

  #lost() {
    this.emit('lost');
  }

  #relink(reason) {
    this.#socket?.end(new Error(reason));
  }

  #openSocket() {
    if (this.#stopped || this.status.state !== 'open' || !this.#socket || Date.now() > this.leasedUntil) throw new Refused(offline(this.status));
    return this.#socket;
  }

  async #close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = undefined;
    this.status.state = 'absent';
    socket?.ev.removeAllListeners('connection.update');
    await socket?.end(undefined);
  }

  #become(state, more = {}) {
    Object.assign(this.status, more, { state });
    write('info', 'number.state', { instance_id: this.instanceId, state });
    this.emit('change');
  }
}
