// How a number stands with WhatsApp, told once per change: connected, disconnected, or restricted. Who reads it compares
// with what was told before this process, so that a restart tells nothing twice.
const WHY = {
  absent: 'the number is not paired: connect it',
  logged_out: 'the number was unlinked on its phone: connect it again',
  banned: 'WhatsApp refuses the number',
  elsewhere: 'another client uses this session: end it, then connect again',
};

export class Standing {
  #line;
  #inbound;
  #newChats;
  #told;
  #isKnown = false;

  constructor(line, inbound, newChats) {
    this.#line = line;
    this.#inbound = inbound;
    this.#newChats = newChats;
  }

  /** The link is up, and so is known whether the number may write to strangers. Not told before: it may be locked still. */
  known() {
    this.#isKnown = true;
    this.look();
  }

  /** Look whether an open number is free, or under a time-lock; one may end by itself. */
  look() {
    if (!this.#isKnown || this.#line.status.state !== 'open') return;
    const until = this.#newChats.lockedUntil;
    if (until) this.#tell('restricted', 'reachout_timelock', 'WhatsApp lets the number start no new chats', until < Infinity ? until : null);
    else this.#tell('connected');
  }

  /** The link will not come back by itself, or was told to end. */
  ended(state) {
    if (state !== 'expired') this.#tell(state === 'banned' ? 'restricted' : 'disconnected', state === 'absent' ? 'not_paired' : state, WHY[state]);
  }

  /** The link is down, and does not come back at once. One that is back at the first try was not away for its users. */
  away(attempt, reason) {
    if (attempt > 1) this.#tell('disconnected', 'offline', reason);
  }

  #tell(state, code = null, reason = null, until = null) {
    if (state === this.#told) return;
    this.#told = state;
    this.#inbound.handleConnection(this.#line, { state, code, reason, until }).catch(error => this.#line.alert('connection_untold', error.message));
  }
}
