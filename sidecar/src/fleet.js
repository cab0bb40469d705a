// The numbers of this process: takes free ones, prolongs its leases, and lets go of a number that it lost.
import { Line } from './line.js';
import { write } from './log.js';
import { Refused } from './refusals.js';

export class Fleet {
  #deps;
  #lines = new Map();
  #taking = new Map();
  #timer;
  #ticking;
  #stopping = false;

  constructor(deps) {
    this.#deps = deps;
  }

  get size() {
    return this.#lines.size;
  }

  async start() {
    await this.#tick();
    this.#timer = setInterval(() => (this.#ticking ??= this.#tick().finally(() => (this.#ticking = undefined))), this.#deps.settings.leaseMs / 3);
  }

  async stop() {
    this.#stopping = true;
    clearInterval(this.#timer);
    await this.#ticking;
    await Promise.all([...this.#lines.values()].map(async line => {
      await line.stop();
      await this.#deps.leases.release(line);
    }));
  }

  /**
   * The line of a number that we hold, or that is free; `Refused`, with the owner if another holds it. Given the
   * organization, a number that is new is made.
   */
  async held(instanceId, organizationId) {
    if (organizationId) await this.#deps.leases.enrol(organizationId, instanceId);
    const held = this.#lines.get(instanceId);
    if (held) return held;
    // Two requests at once take it once.
    if (!this.#taking.has(instanceId)) {
      const taking = this.#deps.leases.take(instanceId).then(row => row && this.#add(row));
      this.#taking.set(instanceId, taking.finally(() => this.#taking.delete(instanceId)));
    }
    const taken = await this.#taking.get(instanceId);
    if (taken) return taken;
    const owner = await this.#deps.leases.holder(instanceId);
    throw owner ? new Refused('held_elsewhere', { status: 421, owner }) : new Refused('unknown_instance', { status: 404 });
  }

  async #add(row) {
    const line = new Line(row, this.#deps, () => this.#drop(line));
    this.#lines.set(row.instance_id, line);
    await line.start(row);
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
    const lines = [...this.#lines.values()];
    try {
      const asked = Date.now();
      const mine = await leases.renew(lines);
      for (const line of lines) {
        if (mine.has(line.instanceId)) line.leasedUntil = asked + settings.leaseMs;
        else this.#drop(line);
        line.check();
      }
      const room = settings.capacity - this.#lines.size;
      if (room > 0 && !this.#stopping) for (const row of await leases.takeFree(room, [...this.#lines.keys()])) await this.#add(row);
    } catch (error) {
      write('warning', 'lease.unrenewed', { reason: error.message });
      // Unable to ask for as long as a lease lasts, we must think that others have taken over.
      for (const line of lines) if (line.leasedUntil < Date.now()) this.#drop(line);
    }
  }
}
