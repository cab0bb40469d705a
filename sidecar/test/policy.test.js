import assert from 'node:assert/strict';
import test from 'node:test';

import { proto, writeRandomPadMax16 } from 'baileys';

import { contentOf, envelope, isWritten, receiptsOf } from '../src/reading.js';
import { afterClose, backoff } from '../src/refusals.js';
import { sealing } from '../src/sealing.js';

const padded = message => writeRandomPadMax16(proto.Message.encode(message).finish());

test('what was sealed opens only for what it was sealed for, under its key', () => {
  const seal = sealing(Buffer.alloc(32, 1));
  const sealed = seal.seal({ secret: Buffer.from('s') }, 'sales', 'creds');
  assert.deepEqual(seal.open(sealed, 'sales', 'creds'), { secret: Buffer.from('s') });
  assert.throws(() => seal.open(sealed, 'other', 'creds'), /BERRANTE_BAILEYS_KEY/);
  assert.throws(() => sealing(Buffer.alloc(32, 2)).open(sealed, 'sales', 'creds'), /BERRANTE_BAILEYS_KEY/);
});

test('440 never comes back by itself', () => {
  assert.equal(afterClose(440, { pairing: false }), 'elsewhere');
  assert.equal(afterClose(515, { pairing: true }), 'restart');
  assert.equal(afterClose(408, { pairing: true }), 'expired');
  for (const code of [428, 408, 500, 503, undefined]) assert.equal(afterClose(code, { pairing: false }), 'again');
  for (const code of [401, 411, 419]) assert.equal(afterClose(code, { pairing: false }), 'logged_out');
});

test('the wait doubles up to its cap, with jitter', () => {
  const settings = { backoffMs: 1000, backoffCapMs: 5000 };
  const waits = [0, 1, 2, 30].map(attempt => backoff(attempt, settings, 1));
  assert.deepEqual(waits, [1000, 2000, 4000, 5000]);
  assert.equal(backoff(0, settings, 0), 500);
});

test('only what a person would see is content', () => {
  assert.deepEqual(contentOf(padded({ conversation: 'hi' })), { type: 'text', text: 'hi' });
  assert.deepEqual(contentOf(padded({ ephemeralMessage: { message: { extendedTextMessage: { text: 'hi' } } } })), { type: 'text', text: 'hi' });
  assert.equal(contentOf(new Uint8Array([9, 9])), undefined);
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

test('a file is described in the shape of the Cloud API, with all that it takes to fetch it', () => {
  const imageMessage = { caption: 'look', mimetype: 'image/jpeg', directPath: '/v/1', mediaKey: Buffer.alloc(32, 1), contextInfo: { stanzaId: '3A' } };
  const { type, image, context } = contentOf(padded({ imageMessage }));
  assert.deepEqual([type, image.caption, image.mime_type, context], ['image', 'look', 'image/jpeg', { id: '3A' }]);
  const { path, key } = JSON.parse(Buffer.from(image.id, 'base64url'));
  assert.deepEqual([path, Buffer.from(key, 'base64')], ['/v/1', Buffer.alloc(32, 1)]);
  assert.equal('id' in contentOf(padded({ imageMessage: { caption: 'lost' } })).image, false);
});
