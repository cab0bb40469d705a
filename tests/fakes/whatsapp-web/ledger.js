// What each contact saw. A phone shows a message id once, however often it comes; `copies` counts how often it came.
export class Ledger {
  #seen = new Map();

  /** Returns whether the contact had not seen it. */
  show({ account, contact, id, ...seen }) {
    const key = `${account} ${contact} ${id}`;
    const known = this.#seen.get(key);
    if (known) known.copies++;
    else this.#seen.set(key, { account, contact, id, ...seen, copies: 1 });
    return !known;
  }

  list() {
    return [...this.#seen.values()];
  }
}
