import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import test from 'node:test';

import { NewChats } from '../src/new_chats.js';

/** A socket whose WhatsApp answers, of the time-lock, what `answer` does. */
function followed(answer) {
  const ev = new EventEmitter();
  const newChats = new NewChats();
  const heard = [];
  const changed = Promise.withResolvers();
  const socket = { ev, fetchNewChatMessageCap: async () => ({ total_quota: 10 }), fetchAccountReachoutTimelock: () => answer(ev) };
  newChats.follow(socket, 'sales', () => {
    heard.push(newChats.told?.locked);
    changed.resolve();
  });
  return { ev, heard, changed: changed.promise };
}

test('a number that opens is told of once it is known whether it is locked, and when that changes', async () => {
  const asked = Promise.withResolvers();
  const { ev, heard, changed } = followed(() => asked.promise);
  ev.emit('connection.update', { connection: 'open' });
  ev.emit('message-capping.update', { total_quota: 10 });
  assert.deepEqual(heard, []);

  ev.emit('connection.update', { reachoutTimeLock: { isActive: true } });
  await changed;
  ev.emit('connection.update', { reachoutTimeLock: { isActive: false } });
  assert.deepEqual(heard, [true, false]);
});

test('a number of which WhatsApp does not say it is told of all the same', async () => {
  const { ev, heard, changed } = followed(async () => {
    throw new Error('timed out');
  });
  ev.emit('connection.update', { connection: 'open' });
  await changed;
  assert.deepEqual(heard, [false]);
});
