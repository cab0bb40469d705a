// The numbers of this process: takes free ones, prolongs its leases, and lets go of a number that it lost.
import { write } from './log.js';
import { Line } from './line.js';

export class Elsewhere extends Error {
  constructor(instanceId, owner) {
    super(`${instanceId} is held by another sidecar`);
    this.owner = owner;
  }
}

export class Unknown extends Error {
  constructor(instanceId) {
    super(`no such Baileys instance: ${instanceId}`);
  }
}

export class Fleet {
  #deps;
  #lines = new Map();
  #taking = new Map();
  #timer;
  #ticking;

  constructor(deps) {
    this.#deps = deps;
  }

  get size() {
    return this.#lines.size;
  }

  async start() {
    await this.#tick();
    this.#schedule();
  }

  async stop() {
    this.stopping = true;
    clearTimeout(this.#timer);
    await this.#ticking;
    await Promise.all([...this.#lines.values()].map(async line => {
      await line.stop();
      await this.#deps.leases.release(line.instanceId, line.fence);
    }));
    this.#lines.clear();
  }

  /** The line of a number that we hold; throws `Elsewhere` or `Unknown`. */
  async held(instanceId) {
    const line = this.#lines.get(instanceId);
    if (line) return line;
    const row = await this.#take(instanceId);
    if (row) return row;
    const owner = await this.#deps.leases.holder(instanceId);
    if (owner) throw new Elsewhere(instanceId, owner);
    throw new Unknown(instanceId);
  }

  /** The line of a number that is to be connected, made if it is new. */
  async enrolled(organizationId, instanceId) {
    if (!(await this.#deps.leases.enrol(organizationId, instanceId))) throw new Unknown(instanceId);
    return this.held(instanceId);
  }

  #take(instanceId) {
    // Two requests at once take it once.
    if (!this.#taking.has(instanceId)) {
      const taken = this.#deps.leases.take(instanceId).then(row => row && this.#add(row)).finally(() => this.#taking.delete(instanceId));
      this.#taking.set(instanceId, taken);
    }
    return this.#taking.get(instanceId);
  }

  async #add(row) {
    const line = new Line(row, this.#deps);
    this.#lines.set(row.instance_id, line);
    line.on('lost', () => this.#drop(line));
    await line.start();
    return line;
  }

  #drop(line) {
    if (this.#lines.get(line.instanceId) !== line) return;
    this.#lines.delete(line.instanceId);
    line.stop().catch(error => write('error', 'number.unstopped', { instance_id: line.instanceId, reason: error.message }));
    write('warning', 'lease.lost', { instance_id: line.instanceId });
  }

  async #tick() {
    const { leases, settings } = this.#deps;
    try {
      const asked = Date.now();
      const mine = await leases.renew([...this.#lines.values()]);
      for (const line of [...this.#lines.values()]) {
        if (mine.has(line.instanceId)) line.leasedUntil = asked + settings.leaseMs;
        else if (line.leasedUntil < asked + settings.leaseMs) this.#drop(line);
        line.check();
      }
      const room = settings.capacity - this.#lines.size;
      if (room > 0 && !this.stopping) for (const row of await leases.takeFree(room, [...this.#lines.keys()])) await this.#add(row);
    } catch (error) {
      write('warning', 'lease.unrenewed', { reason: error.message });
      // Unable to ask for as long as a lease lasts, we must think that others have taken over.
      for (const line of [...this.#lines.values()]) if (line.leasedUntil < Date.now()) this.#drop(line);
    }
  }

  #schedule() {
    this.#timer = setTimeout(() => {
      this.#ticking = this.#tick().finally(() => {
        if (!this.stopping) this.#schedule();
      });
    }, this.#deps.settings.leaseMs / 3);
  }
}
