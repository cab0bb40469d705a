// What goes wrong on order: each order is used up by as many messages as it says.
const KINDS = new Set(['no_ack', 'refuse', 'slow', 'drop_before', 'drop_after']);

export class Faults {
  #orders = [];

  /** @param {{kind: string, count?: number, code?: string, ms?: number, contact?: string}} order */
  order(order) {
    if (!KINDS.has(order.kind)) throw new Error(`no such fault: ${order.kind}`);
    this.#orders.push({ count: 1, ...order });
  }

  take(contact) {
    const order = this.#orders.find(each => !each.contact || each.contact === contact);
    if (order && --order.count <= 0) this.#orders.splice(this.#orders.indexOf(order), 1);
    return order ?? {};
  }

  clear() {
    this.#orders = [];
  }
}
