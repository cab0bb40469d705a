import assert from 'node:assert/strict';
import test from 'node:test';

import { Line } from '../src/line.js';

test('a message that is journaled while the last look comes back empty does not wait for the next one', async () => {
  const added = Promise.withResolvers();
  const kept = [];
  let looks = 0;
  const inbound = {
    oldest: async () => {
      const found = [...kept];
      await found;
      if (++looks === 1) {
        kept.push({ number: 1, entry: { messageId: 'A' } });
        line.drain();
      }
      return found;
    },
    forget: async () => kept.pop(),
    handleIncomingMessage: async (_, entry) => added.resolve(entry.messageId),
  };
  const line = new Line({ instance_id: 'sales' }, { settings: { leaseMs: 1 }, inbound, die: () => {} });

  line.drain();

  assert.equal(await added.promise, 'A');
});

test('a link that is down is reported from its second try on, and once', async () => {
  let tries = 0;
  const reports = [];
  const enough = Promise.withResolvers();
  const pool = {
    query: async () => {
      if (++tries === 5) enough.resolve();
      throw new Error('no database');
    },
  };
  const inbound = { oldest: async () => [], handleConnection: async (_, { state, reason }) => reports.push([tries, state, reason]) };
  const line = new Line({ instance_id: 'sales' }, { settings: { leaseMs: 1, backoffMs: 1, backoffCapMs: 1 }, inbound, pool });

  await line.start({ paired: true });
  await enough.promise;
  await line.stop();

  assert.deepEqual(reports, [[2, 'waiting', 'no database']]);
});
