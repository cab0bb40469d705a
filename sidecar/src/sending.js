// Sends over an open socket and answers once the server has acknowledged. In order within a chat, side by side between
// chats, and a wire id that is on its way already is joined, not sent again.
import { getContentType, jidNormalizedUser, proto } from 'baileys';

import { LeaseLost } from './leases.js';
import { Refused } from './refusals.js';

const REMEMBERED = 10_000;
const DOUBT_AFTER = 3;

export class Sending {
  #current;
  #ackMs;
  #relink;
  #chats = new Map();
  #flying = new Map();
  #jids = new Map();
  #unanswered = new Map();

  /** @param {() => object} current the open socket, or throws @param {() => void} relink closes a link that fell silent */
  constructor(current, ackMs, relink) {
    this.#current = current;
    this.#ackMs = ackMs;
    this.#relink = relink;
  }

  /** Send a message whose `content` is WhatsApp's own `Message` as JSON, unless by its turn the caller `isGone`. */
  send(message, isGone) {
    const flying = this.#flying.get(message.id);
    if (flying) return flying;
    const sent = Promise.allSettled([this.#chats.get(message.to)]).then(() => this.#send(message, isGone));
    this.#chats.set(message.to, sent);
    this.#flying.set(message.id, sent);
    void Promise.allSettled([sent]).then(() => {
      this.#flying.delete(message.id);
      if (this.#chats.get(message.to) === sent) this.#chats.delete(message.to);
    });
    return sent;
  }

  async #send({ id, to, content, quotes_us: quotesUs }, isGone) {
    if (isGone()) throw new Refused('caller_gone');
    const socket = this.#current();
    try {
      const jid = await this.#jid(socket, to);
      const message = proto.Message.fromObject(content);
      const { contextInfo } = message[getContentType(message)];
      if (contextInfo?.stanzaId) contextInfo.participant = quotesUs ? jidNormalizedUser(socket.user.id) : jid;
      // A receipt of the same id proves it as well. Listens before it sends; a failure must not be unhandled while the send itself still runs.
      const acknowledged = socket.waitForMessage(id, this.#ackMs).then(ack => ({ ack }), error => ({ error }));
      await socket.relayMessage(jid, message, { messageId: id });
      const { ack, error } = await acknowledged;
      if (error) throw error;
      if (!ack) throw this.#silence(id);
      this.#unanswered.delete(id);
      if (ack.attrs.error === '479') await socket.assertSessions([jid], true); // a device's session was stale
      if (ack.attrs.error) throw new Refused(ack.attrs.error);
      return { id, accepted_at_ms: Number(ack.attrs.t) * 1000 || Date.now() };
    } catch (error) {
      throw named(error, socket);
    }
  }

  // Brazilian and Mexican numbers have two spellings: WhatsApp's own answer says which one is the chat.
  async #jid(socket, to) {
    const known = this.#jids.get(to);
    if (known) return known;
    const [found] = (await socket.onWhatsApp(to.replace('+', ''))) ?? [];
    if (!found?.exists) throw new Refused('not_on_whatsapp');
    remember(this.#jids, to, found.jid);
    return found.jid;
  }

  #silence(id) {
    const times = (this.#unanswered.get(id) ?? 0) + 1;
    remember(this.#unanswered, id, times);
    this.#relink();
    return times < DOUBT_AFTER ? new Refused('no_ack') : new Refused('in_doubt', { status: 504, message: `WhatsApp did not acknowledge ${times} times` });
  }
}

function remember(map, key, value) {
  map.delete(key);
  map.set(key, value);
  if (map.size > REMEMBERED) map.delete(map.keys().next().value);
}

function named(error, socket) {
  if (error instanceof Refused) return error;
  if (error instanceof LeaseLost) return new Refused('lease_lost');
  // Whatever it is called: an answer that did not come, or a link that is gone.
  if (error.output?.statusCode === 408 || !socket.ws.isOpen) return new Refused('link_dropped');
  return new Refused('baileys_error', { message: String(error.message).slice(0, 200) });
}
