// What WhatsApp's codes mean: whom a refusal is about and what to do, and what a closed link asks for. No I/O.

/** @typedef {{scope: string, action: string, code: string, message: string, retry_after_ms?: number}} Refusal */

export class Refused extends Error {
  /** @param {Refusal} refusal */
  constructor(refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

/** @returns {Refusal} */
const refusal = (scope, action, code, message, retry_after_ms) => ({ scope, action, code: String(code), message, ...(retry_after_ms ? { retry_after_ms } : {}) });

/** The refusal in a message's acknowledgement. @param {string} code */
export function fromAck(code) {
  switch (code) {
    case '463': // once more would count as one more attempt to reach a stranger
      return refusal('recipient', 'drop', code, 'WhatsApp lets this number start no new chats for now: wait until the contact writes');
    case '479':
      return refusal('message', 'retry', code, 'the session with a device was stale; it is made anew');
    case '429':
      return refusal('number', 'hold', code, 'WhatsApp says that this number sends too fast', 60_000);
    case '401':
    case '403':
      return refusal('number', 'hold', code, 'WhatsApp does not let this number send', 300_000);
    case '404':
      return refusal('recipient', 'drop', code, 'WhatsApp does not know the recipient');
    case '400':
    case '406':
      return refusal('message', 'drop', code, 'WhatsApp does not take a message of this form');
    default:
      return /^5\d\d$/.test(code)
        ? refusal('number', 'hold', code, 'WhatsApp has trouble of its own', 10_000)
        : refusal('message', 'retry', code, `WhatsApp refused the message with code ${code}`);
  }
}

export const notOnWhatsApp = to => refusal('recipient', 'suppress', 'not_on_whatsapp', `${to} is not on WhatsApp`);
export const stopped = (why, wait) => refusal('recipient', 'hold', 'new_chats_stopped', `${why}: who never wrote waits, other chats go on`, wait);
export const linkDropped = () => refusal('number', 'hold', 'link_dropped', 'the link broke before WhatsApp acknowledged; the same id is sent again', 1_000);
export const noAck = () => refusal('number', 'hold', 'no_ack', 'WhatsApp did not acknowledge; the link is made anew and the same id sent again', 1_000);

/** Why a number that is not open cannot send. */
export function offline({ state, retryAt, close }) {
  const held = (code, message, wait) => refusal('number', 'hold', code, message, wait);
  switch (state) {
    case 'logged_out':
      return held('logged_out', 'the number was unlinked on its phone: connect it again', 60_000);
    case 'banned':
      return held('banned', `WhatsApp refuses the number (close code ${close?.code})`, 300_000);
    case 'elsewhere':
      return held('elsewhere', 'another client uses this session: end it, then connect again', 60_000);
    case 'absent':
    case 'qr':
    case 'expired':
      return held('not_paired', 'the number is not paired: connect it', 30_000);
    default:
      return held('offline', 'the number is not connected right now', Math.max(500, Math.min(30_000, (retryAt ?? 0) - Date.now())));
  }
}

/**
 * What to do about a closed link. Never `again` for 440: two owners that both come back would throw each other out for ever.
 * @param {number|undefined} code
 * @returns {'restart'|'again'|'elsewhere'|'logged_out'|'banned'|'expired'}
 */
export function afterClose(code, { pairing }) {
  if (code === 515) return 'restart';
  if (code === 440) return 'elsewhere';
  if (code === 401 || code === 411 || code === 419) return 'logged_out';
  if (code === 403) return 'banned';
  return pairing && code === 408 ? 'expired' : 'again';
}

/** Milliseconds until the `attempt`-th reconnection (from 0): doubled each time up to a cap, between half and all of it. */
export function backoff(attempt, { firstMs, capMs, chance }) {
  const most = Math.min(capMs, firstMs * 2 ** Math.min(attempt, 20));
  return Math.round(most / 2 + (most / 2) * chance);
}
