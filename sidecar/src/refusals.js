// What goes back to the caller when something cannot be done, and what a closed link asks for. Codes mean what `refusals.py` says.

export class Refused extends Error {
  /** @param {string} code @param {{message?: string, retry_after_ms?: number, status?: number}} [more] `status` is HTTP's */
  constructor(code, { status = 409, ...more } = {}) {
    super(more.message ?? code);
    this.status = status;
    this.error = { code, ...more };
  }
}

/** What to do about a closed link. Never `again` for 440: two owners that both come back would throw each other out for ever. */
export function afterClose(code, { pairing }) {
  const ends = { 515: 'restart', 440: 'elsewhere', 401: 'logged_out', 411: 'logged_out', 419: 'logged_out', 403: 'banned' };
  return ends[code] ?? (pairing && code === 408 ? 'expired' : 'again');
}

/** Milliseconds until the `attempt`-th reconnection (from 0): doubled each time up to a cap, between half and all of it. */
export function backoff(attempt, { backoffMs, backoffCapMs }, chance) {
  const most = Math.min(backoffCapMs, backoffMs * 2 ** Math.min(attempt, 20));
  return Math.round(most / 2 + (most / 2) * chance);
}
