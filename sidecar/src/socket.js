// One Baileys socket, with our seams: the journal before the ratchet commit and the receipt, and receipts as they come.
import makeWASocket, { DEFAULT_CONNECTION_CONFIG, makeCacheableSignalKeyStore, WA_CERT_DETAILS, writeRandomPadMax16 } from 'baileys';

import { quietLogger } from './log.js';
import { contentOf, envelope, isWritten, receiptsOf } from './reading.js';

const NOTHING = writeRandomPadMax16(new Uint8Array());

/**
 * @param {{instanceId: string, auth: object, settings: object, die: (at: string) => void, keep: (chat: string, entry: object) => Promise<void>,
 *   isKnown: (attrs: object) => Promise<boolean>, onReceipt: (receipt: object) => void, onStanza: () => void, sentText: (id: string) => Promise<string|undefined>}} given
 */
export function openSocket({ instanceId, auth, settings, die, keep, isKnown, onReceipt, onStanza, sentText }) {
  const logger = quietLogger(instanceId);
  /** Which stanza a ciphertext came in: Baileys hands the decryption the ciphertext alone. */
  const stanzas = new WeakMap();
  if (settings.waRoot) WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(settings.waRoot, 'hex');

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
        if (attrs && (await isKnown(attrs))) return NOTHING;
        throw error;
      }
    };
    const { decryptMessage, decryptGroupMessage } = repository;
    repository.decryptMessage = given => journaled(() => decryptMessage(given), given.ciphertext, given.jid);
    repository.decryptGroupMessage = given => journaled(() => decryptGroupMessage(given), given.msg, given.group);
    return repository;
  };

  const record = async (repository, attrs, plain) => {
    const content = attrs && isWritten(attrs, auth.creds.me) && readable(plain);
    if (!content) return false;
    const entry = envelope(attrs, content);
    entry.number ??= (await repository.lidMapping.getPNForLID(entry.author)) ?? undefined;
    await keep(attrs.from, entry);
    return true;
  };

  const socket = makeWASocket({
    auth: { creds: auth.creds, keys: makeCacheableSignalKeyStore(auth.keys, logger) },
    logger,
    makeSignalRepository,
    ...(settings.waUrl ? { waWebSocketUrl: settings.waUrl } : {}),
    browser: ['Berrante', 'Chrome', '1.0'],
    markOnlineOnConnect: false, // or the phone would stop notifying its owner
    syncFullHistory: false,
    shouldSyncHistoryMessage: () => false,
    emitOwnEvents: false,
    defaultQueryTimeoutMs: settings.ackMs,
    // Our own storage errors end the link at once; Baileys must not try on for half a minute meanwhile.
    transactionOpts: { maxCommitRetries: 1, delayBetweenTriesMs: 0 },
    getMessage: async key => {
      const text = key.fromMe ? await sentText(key.id) : undefined;
      return text === undefined ? undefined : { conversation: text };
    },
  });
  socket.ws.prependListener('CB:message', ({ attrs, content }) => {
    onStanza();
    for (const node of Array.isArray(content) ? content : []) if (node.tag === 'enc' && node.content) stanzas.set(node.content, attrs);
  });
  // Read here, a receipt is seen whether Baileys tells it by itself or merges it into a message's event.
  socket.ws.prependListener('CB:receipt', node => {
    onStanza();
    receiptsOf(node).forEach(onReceipt);
  });
  return socket;
}

function readable(plain) {
  try {
    return contentOf(plain);
  } catch {
    return undefined; // Baileys reads the same bytes next, fails, and the line raises the alert
  }
}
