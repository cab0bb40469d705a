// What goes wrong on order: each order is used up by as many messages (or requests to the media host) as it says.
const KINDS = new Set(['no_ack', 'refuse', 'slow', 'drop_before', 'drop_after', 'media_refuse', 'media_drop']);

export class Faults {
  #orders = [];

  /** @param {{kind: string, count?: number, code?: string, ms?: number, contact?: string}} order */
  order(order) {
    if (!KINDS.has(order.kind)) throw new Error(`no such fault: ${order.kind}`);
    this.#orders.push({ count: 1, ...order });
  }

  take(contact) {
    return this.#take(({ kind, contact: whose }) => !kind.startsWith('media_') && (!whose || whose === contact));
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
