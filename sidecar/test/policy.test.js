import assert from 'node:assert/strict';
import test from 'node:test';

import { proto, writeRandomPadMax16 } from 'baileys';

import { contentOf, envelope, isWritten, receiptsOf } from '../src/reading.js';
import { afterClose, backoff, fromAck, offline } from '../src/refusals.js';
import { SealBroken, sealing } from '../src/sealing.js';
import { read, SettingsInvalid, whatsappUrl } from '../src/settings.js';

const padded = message => writeRandomPadMax16(proto.Message.encode(message).finish());
const GIVEN = { BERRANTE_BAILEYS_TOKEN: 't', BERRANTE_BAILEYS_KEY: Buffer.alloc(32).toString('base64'), DATABASE_URL: 'postgresql+asyncpg://h/d', REDIS_URL: 'redis://h' };

test('an open link to WhatsApp is for tests on loopback', () => {
  assert.equal(whatsappUrl('wss://web.whatsapp.com/ws/chat', false), 'wss://web.whatsapp.com/ws/chat');
  assert.equal(whatsappUrl('ws://127.0.0.1:1/ws', true), 'ws://127.0.0.1:1/ws');
  for (const [url, testing] of [['ws://127.0.0.1:1/ws', false], ['ws://example.org/ws', true], ['http://127.0.0.1/', true]]) {
    assert.throws(() => whatsappUrl(url, testing), SettingsInvalid);
  }
});

test('settings name what is missing, and refuse a public address', () => {
  assert.equal(read(GIVEN).databaseUrl, 'postgresql://h/d');
  assert.throws(() => read({ ...GIVEN, BERRANTE_BAILEYS_TOKEN: '' }), /BERRANTE_BAILEYS_TOKEN/);
  assert.throws(() => read({ ...GIVEN, BERRANTE_BAILEYS_KEY: 'c2hvcnQ=' }), /32 bytes/);
  assert.throws(() => read({ ...GIVEN, BERRANTE_BAILEYS_HOST: '0.0.0.0' }), /public/);
  assert.equal(read({ ...GIVEN, BERRANTE_BAILEYS_HOST: '10.1.2.3' }).host, '10.1.2.3');
});

test('what was sealed opens only for what it was sealed for, under its key', () => {
  const seal = sealing(Buffer.alloc(32, 1));
  const sealed = seal.seal('secret', 'sales', 'creds');
  assert.equal(seal.open(sealed, 'sales', 'creds').toString(), 'secret');
  assert.throws(() => seal.open(sealed, 'other', 'creds'), SealBroken);
  assert.throws(() => sealing(Buffer.alloc(32, 2)).open(sealed, 'sales', 'creds'), SealBroken);
});

test('440 never comes back by itself', () => {
  assert.equal(afterClose(440, { pairing: false }), 'elsewhere');
  assert.equal(afterClose(515, { pairing: true }), 'restart');
  assert.equal(afterClose(408, { pairing: true }), 'expired');
  for (const code of [428, 408, 500, 503, undefined]) assert.equal(afterClose(code, { pairing: false }), 'again');
  for (const code of [401, 411, 419]) assert.equal(afterClose(code, { pairing: false }), 'logged_out');
});

test('the wait doubles up to its cap, with jitter', () => {
  const waits = [0, 1, 2, 30].map(attempt => backoff(attempt, { firstMs: 1000, capMs: 5000, chance: 1 }));
  assert.deepEqual(waits, [1000, 2000, 4000, 5000]);
  assert.equal(backoff(0, { firstMs: 1000, capMs: 5000, chance: 0 }), 500);
});

test('a refusal has a scope and an action; being offline holds the number', () => {
  assert.equal(fromAck('463').action, 'drop');
  assert.equal(fromAck('429').scope, 'number');
  for (const state of ['absent', 'qr', 'waiting', 'elsewhere', 'banned', 'logged_out']) {
    assert.deepEqual([offline({ state }).scope, offline({ state }).action], ['number', 'hold']);
  }
});

test('only what a person would see is content', () => {
  assert.deepEqual(contentOf(padded({ conversation: 'hi' })), { type: 'text', text: 'hi' });
  assert.deepEqual(contentOf(padded({ ephemeralMessage: { message: { extendedTextMessage: { text: 'hi' } } } })), { type: 'text', text: 'hi' });
  assert.equal(contentOf(padded({ protocolMessage: { type: 0 } })), undefined);
  assert.equal(contentOf(padded({ deviceSentMessage: { message: { conversation: 'mine' } } })), undefined);
});

test('a group message is of another type, and names who wrote it', () => {
  const attrs = { from: '1-2@g.us', participant: '5@lid', participant_pn: '55119@s.whatsapp.net', id: 'A', t: '7' };
  const entry = envelope(attrs, { type: 'text', text: 'hi' });
  assert.deepEqual(entry.content, { type: 'group_text', text: 'hi', group: '1-2@g.us' });
  assert.deepEqual([entry.number, entry.sentAt], ['55119@s.whatsapp.net', 7000]);
  assert.equal(isWritten({ from: 'status@broadcast', participant: '5@lid' }, {}), false);
  assert.equal(isWritten({ from: '1:2@s.whatsapp.net' }, { id: '1:9@s.whatsapp.net' }), false);
});

test('receipts are read for what we sent, all ids of a list', () => {
  const [one, two] = ['3EB0' + 'A'.repeat(18), '3EB0' + 'B'.repeat(18)];
  const content = [{ tag: 'list', attrs: {}, content: [{ tag: 'item', attrs: { id: two } }] }];
  assert.deepEqual(receiptsOf({ attrs: { id: one, type: 'read', t: '7' }, content }).map(r => [r.messageId, r.status, r.at]), [[one, 'read', 7000], [two, 'read', 7000]]);
  assert.deepEqual(receiptsOf({ attrs: { id: one, type: 'retry', t: '7' } }), []);
  assert.deepEqual(receiptsOf({ attrs: { id: '3A00', t: '7' } }), []);
});
