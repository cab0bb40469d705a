import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import { fenced } from '../src/leases.js';

// A process that hung in a transaction comes back to a link that PostgreSQL has closed: pg tells of that by an event.
test('a link that breaks between two statements fails the transaction, and not the process', async () => {
  let isBroken = false;
  const client = Object.assign(new EventEmitter(), {
    query: async () => {
      if (isBroken) throw new Error('the link is not queryable');
      return { rowCount: 1 };
    },
    release: broken => { client.released = broken; },
  });
  const pool = { connect: async () => client };
  const work = async () => {
    isBroken = true;
    client.emit('error', new Error('Connection terminated unexpectedly'));
    await client.query('UPDATE baileys_sessions SET paired = true');
  };
  for (let turn = 0; turn < 2; turn += 1) {
    isBroken = false;
    await assert.rejects(fenced(pool, { instanceId: 'shop', fence: 1 }, work), /not queryable/);
    assert.match(client.released.message, /not queryable/); // so that the pool does not hand it out again
  }
  assert.equal(client.listenerCount('error'), 1);
});
