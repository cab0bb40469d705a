// What goes wrong on order: each order is used up by as many messages (or requests to the media host, or questions for a contact) as it says.
const KINDS = new Set(['no_ack', 'refuse', 'slow', 'drop_before', 'drop_after', 'media_refuse', 'media_drop', 'not_on_whatsapp']);

export class Faults {
  #orders = [];

  /** @param {{kind: string, count?: number, code?: string, ms?: number, contact?: string}} order */
  order(order) {
    if (!KINDS.has(order.kind)) throw new Error(`no such fault: ${order.kind}`);
    this.#orders.push({ count: 1, ...order });
  }

  take(contact) {
    return this.#take(({ kind, contact: whose }) => !/^(media_|not_on_)/.test(kind) && (!whose || whose === contact));
  }

  /** Whether a client that asks for the contact is told that it has no WhatsApp. */
  hides(contact) {
    return this.#take(({ kind, contact: whose }) => kind === 'not_on_whatsapp' && whose === contact).kind !== undefined;
  }

  takeOfMedia() {
    return this.#take(({ kind }) => kind.startsWith('media_'));
  }

  #take(fits) {
    const order = this.#orders.find(fits);
    if (order && --order.count <= 0) this.#orders.splice(this.#orders.indexOf(order), 1);
    return order ?? {};
  }

  clear() {
    this.#orders = [];
  }
}
