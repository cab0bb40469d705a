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
