// Sends over an open socket and answers once the server has acknowledged. In order within a chat, side by side between
// chats, and a wire id that is on its way already is joined, not sent again.
import { fromAck, linkDropped, noAck, notOnWhatsApp, Refused } from './refusals.js';
import { LeaseLost } from './leases.js';

const KNOWN_CHATS = 10_000;
const DOUBTED = 1_000;
const DOUBT_AFTER = 3;

export class InDoubt extends Error {}

export class Sending {
  #settings;
  #relink;
  #chats = new Map();
  #flying = new Map();
  #jids = new Map();
  #unanswered = new Map();

  /** @param {object} settings @param {() => void} relink closes a link on which an acknowledgement never came */
  constructor(settings, relink) {
    this.#settings = settings;
    this.#relink = relink;
  }

  /**
   * @param {() => object} socket the open socket; throws `Refused` if there is none by then
   * @param {{id: string, to: string, text: string}} message
   * @param {AbortSignal} gone the caller stopped waiting
   */
  send(socket, message, gone) {
    const flying = this.#flying.get(message.id);
    if (flying) return flying;
    const before = this.#chats.get(message.to) ?? Promise.resolve();
    const sent = before.then(() => this.#send(socket, message, gone));
    const settled = sent.then(() => {}, () => {});
    this.#chats.set(message.to, settled);
    this.#flying.set(message.id, sent);
    settled.then(() => {
      this.#flying.delete(message.id);
      if (this.#chats.get(message.to) === settled) this.#chats.delete(message.to);
    });
    return sent;
  }

  async #send(current, message, gone) {
    if (gone.aborted) throw new Refused({ ...linkDropped(), code: 'caller_gone', message: 'the caller stopped waiting' });
    const socket = current();
    try {
      const jid = await this.#jid(socket, message.to);
      // A receipt of the same id proves it as well. Listens before it sends; a failure must not be unhandled while the send itself still runs.
      const acknowledged = socket.waitForMessage(message.id, this.#settings.ackMs).then(ack => ({ ack }), error => ({ error }));
      await socket.sendMessage(jid, { text: message.text }, { messageId: message.id });
      const { ack, error } = await acknowledged;
      if (error) throw error;
      if (!ack) throw this.#silence(message.id);
      this.#unanswered.delete(message.id);
      if (ack.attrs.error) {
        if (ack.attrs.error === '479') await socket.assertSessions([jid], true);
        throw new Refused(fromAck(ack.attrs.error));
      }
      return { id: message.id, accepted_at_ms: Number(ack.attrs.t) * 1000 || Date.now() };
    } catch (error) {
      throw named(error, socket);
    }
  }

  // Brazilian and Mexican numbers have two spellings: WhatsApp's own answer says which one is the chat.
  async #jid(socket, to) {
    const known = this.#jids.get(to);
    if (known) return known;
    const [found] = (await socket.onWhatsApp(to.replace('+', ''))) ?? [];
    if (!found?.exists) throw new Refused(notOnWhatsApp(to));
    remember(this.#jids, to, found.jid, KNOWN_CHATS);
    return found.jid;
  }

  #silence(id) {
    const times = (this.#unanswered.get(id) ?? 0) + 1;
    remember(this.#unanswered, id, times, DOUBTED);
    this.#relink();
    return times >= DOUBT_AFTER ? new InDoubt(`WhatsApp did not acknowledge ${times} times`) : new Refused(noAck());
  }
}

function remember(map, key, value, most) {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value);
}

function named(error, socket) {
  if (error instanceof Refused || error instanceof InDoubt) return error;
  if (error instanceof LeaseLost) return new Refused({ ...linkDropped(), code: 'lease_lost', message: error.message });
  // Whatever it is called: an answer that did not come, or a link that is gone.
  if (error.output?.statusCode === 408 || !socket.ws.isOpen) return new Refused(linkDropped());
  return new Refused({ scope: 'message', action: 'retry', code: 'baileys_error', message: String(error.message).slice(0, 200) });
}
