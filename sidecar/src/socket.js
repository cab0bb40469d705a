// One Baileys socket, with our seams: the journal before the ratchet commit and the receipt, and receipts as they come.
import makeWASocket, { DEFAULT_CONNECTION_CONFIG, makeCacheableSignalKeyStore, WA_CERT_DETAILS, writeRandomPadMax16 } from 'baileys';

import { quietLogger } from './log.js';
import { contentOf, envelope, isWritten, receiptsOf } from './reading.js';

const NOTHING = writeRandomPadMax16(new Uint8Array());

/** Open the socket of a line, which hears of each stanza , and keeps each message before its keys move on. */
export function openSocket(line, auth, { settings, die, pool, inbound }) {
  const logger = quietLogger(line.instanceId);
  /** Which stanza a ciphertext came in: Baileys hands the decryption the ciphertext alone. */
  const stanzas = new WeakMap();
  if (settings.whatsappRoot) WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(settings.whatsappRoot, 'hex');

  const makeSignalRepository = (state, log, lookUp) => {
    const repository = DEFAULT_CONNECTION_CONFIG.makeSignalRepository(state, log, lookUp);
    // The same transaction as the ratchet's: it commits only after the journal has the message, and Baileys sends the
    // receipt only after that. Killed in between, the server delivers again or the journal already has it.
    const journaled = async (decrypt, ciphertext, key) => {
      const attrs = stanzas.get(ciphertext);
      try {
        let recorded;
        const plain = await state.keys.transaction(async () => {
          const decrypted = await decrypt();
          recorded = await record(repository, attrs, decrypted);
          return decrypted;
        }, key);
        if (recorded) die('before-receipt');
        return plain;
      } catch (error) {
        // Delivered again because its receipt was lost, while the ratchet had moved on: nothing is missing, and asking
        // its sender for it once more would be wrong. Read as nothing, it gets its receipt.
        if (attrs && (await inbound.knows(line.instanceId, attrs))) return NOTHING;
        throw error;
      }
    };
    const { decryptMessage, decryptGroupMessage } = repository;
    repository.decryptMessage = given => journaled(() => decryptMessage(given), given.ciphertext, given.jid);
    repository.decryptGroupMessage = given => journaled(() => decryptGroupMessage(given), given.msg, given.group);
    return repository;
  };

  const record = async (repository, attrs, plain) => {
    const content = attrs && isWritten(attrs, auth.creds.me) && contentOf(plain);
    if (!content) return false;
    const entry = envelope(attrs, content);
    entry.number ??= (await repository.lidMapping.getPNForLID(entry.author)) ?? undefined;
    await line.keep(attrs.from, entry);
    return true;
  };

  const socket = makeWASocket({
    auth: { creds: auth.creds, keys: makeCacheableSignalKeyStore(auth.keys, logger) },
    logger,
    makeSignalRepository,
    ...(settings.whatsappUrl ? { waWebSocketUrl: settings.whatsappUrl } : {}),
    browser: ['Berrante', 'Chrome', '1.0'],
    markOnlineOnConnect: false, // or the phone would stop notifying its owner
    syncFullHistory: false,
    shouldSyncHistoryMessage: () => false,
    emitOwnEvents: false,
    defaultQueryTimeoutMs: settings.ackMs,
    // Our own storage errors end the link at once; Baileys must not try on for half a minute meanwhile.
    transactionOpts: { maxCommitRetries: 1, delayBetweenTriesMs: 0 },
    // A recipient's phone that could not decrypt asks once more. Younger messages Baileys remembers itself.
    getMessage: async ({ id }) => {
      const { rows } = await pool.query(`SELECT content->>'text' AS text FROM messages WHERE instance_id = $1 AND wire_id = $2 AND direction = 'out'`, [line.instanceId, id]);
      return rows[0]?.text ? { conversation: rows[0].text } : undefined;
    },
  });
  socket.ws.prependListener('CB:message', ({ attrs, content }) => {
    line.unheardSince = undefined;
    for (const node of Array.isArray(content) ? content : []) if (node.tag === 'enc' && node.content) stanzas.set(node.content, attrs);
  });
  // Read here, a receipt is seen whether Baileys tells it by itself or merges it into a message's event.
  socket.ws.prependListener('CB:receipt', node => {
    line.unheardSince = undefined;
    for (const receipt of receiptsOf(node)) inbound.handleReceipt(line, receipt).catch(error => line.alert('receipt_lost', error.message));
  });
  return socket;
}
