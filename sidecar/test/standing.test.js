import assert from 'node:assert/strict';
import test from 'node:test';

import { Standing } from '../src/standing.js';

function standing() {
  const told = [];
  const line = { status: { state: 'connecting' }, alert: () => {} };
  const newChats = { lockedUntil: 0 };
  const jobs = { handleConnection: async (_, said) => told.push(`${said.state}/${said.code}`) };
  return { line, newChats, told, made: new Standing(line, jobs, newChats) };
}

test('an open number is told of once it is known whether it is locked, and a lock that ends by itself too', () => {
  const { line, newChats, told, made } = standing();
  line.status.state = 'open';
  made.look();
  assert.deepEqual(told, []);
  newChats.lockedUntil = Infinity;
  made.known();
  made.look();
  newChats.lockedUntil = 0;
  made.look();
  assert.deepEqual(told, ['restricted/reachout_timelock', 'connected/null']);
});

test('a link that is back at the first try was not away', () => {
  const { line, told, made } = standing();
  line.status.state = 'open';
  made.known();
  line.status.state = 'waiting';
  made.away(1, 'closed');
  made.look();
  made.away(2, 'closed');
  made.away(3, 'closed');
  line.status.state = 'open';
  made.known();
  assert.deepEqual(told, ['connected/null', 'disconnected/offline', 'connected/null']);
});

test('nobody scanned: nothing became of the number', () => {
  const { told, made } = standing();
  made.ended('expired');
  assert.deepEqual(told, []);
});
