// What WhatsApp says of writing to strangers, a time-lock and a quota: cold sends stop before it stops them, warm chats go on.
import { write } from './log.js';
import { Refused, stopped } from './refusals.js';

const LOOK_MS = 300_000;
const READ_MS = 3_000;
const RESERVE = 0.1; // of the quota stays unused: other clients of the number write to strangers too

export class NewChats {
  #pool;
  #line;
  #lockedUntil = 0;
  #quota;
  #used = 0;
  #ends = 0;

  constructor(pool, line) {
    this.#pool = pool;
    this.#line = line;
  }

  /** Read both, and go on hearing of them; `read` is called once both are known after an opening, or will not be. */
  follow(socket, changed, read) {
    socket.ev.on('message-capping.update', info => changed(this.#capped(info)));
    socket.ev.on('connection.update', ({ connection, reachoutTimeLock: lock }) => {
      if (lock) changed((this.#lockedUntil = lock.isActive ? (lock.timeEnforcementEnds?.getTime() ?? Infinity) : 0));
      if (connection !== 'open') return;
      // An account without limits may have no answer to it.
      const unread = error => write('debug', 'new_chats.unread', { instance_id: this.#line.instanceId, reason: error.message });
      const asked = [socket.fetchNewChatMessageCap().then(info => changed(this.#capped(info)), unread), socket.fetchAccountReachoutTimelock().catch(unread)];
      Promise.race([Promise.allSettled(asked), new Promise(resolve => setTimeout(resolve, READ_MS).unref())]).then(read);
    });
  }

  /** For people to see. */
  get shown() {
    const moment = at => (at > Date.now() && at < Infinity ? new Date(at).toISOString() : null);
    return { stopped: Boolean(this.#stop()), locked_until: moment(this.#lockedUntil), quota: this.#quota ?? null, used: this.#used, quota_ends: moment(this.#ends) };
  }

  /** When a time-lock ends, in ms; `Infinity` if WhatsApp named no end, 0 if there is none. */
  get lockedUntil() {
    return this.#lockedUntil > Date.now() ? this.#lockedUntil : 0;
  }

  /** Run a send; `Refused` if it would begin a chat while none may begin. */
  async guard(to, send) {
    if (!this.#lockedUntil && !this.#quota) return send();
    const isCold = await this.#isCold(to);
    const stop = isCold && this.#stop();
    if (stop) throw new Refused(stopped(stop.why, Math.max(1_000, Math.min(LOOK_MS, stop.until - Date.now()))));
    if (!isCold) return send();
    this.#used++; // before the answer: sends to many strangers at once must not pass together
    try {
      return await send();
    } catch (error) {
      this.#used--; // it comes again, or never
      throw error;
    }
  }

  #stop(now = Date.now()) {
    if (this.#lockedUntil > now) return { why: 'WhatsApp lets the number start no new chats', until: this.#lockedUntil };
    const isFull = this.#quota && this.#ends > now && this.#used >= Math.floor(this.#quota * (1 - RESERVE));
    return isFull ? { why: `${this.#used} of ${this.#quota} new chats are used`, until: this.#ends } : undefined;
  }

  #capped({ total_quota: quota, used_quota: used, cycle_end_timestamp: ends, capping_status: status } = {}) {
    this.#quota = Number(quota) || undefined;
    this.#used = status === 'CAPPED' ? Math.max(this.#quota ?? 0, Number(used)) : Number(used) || 0;
    this.#ends = ends ? Number(ends) * 1000 : Infinity;
  }

  // Warm is who wrote to us, or took a message of ours.
  async #isCold(to) {
    const { rows } = await this.#pool.query(
      `SELECT NOT EXISTS (SELECT 1 FROM contacts JOIN messages ON messages.contact_id = contacts.id
                           WHERE contacts.instance_id = $1 AND contacts.address = $2
                             AND (messages.direction = 'in' OR messages.status IN ('sent', 'delivered', 'read'))) AS cold`,
      [this.#line.instanceId, to],
    );
    return rows[0].cold;
  }
}
