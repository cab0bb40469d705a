// A phone: a Signal endpoint whose keys we hold, so that we see what its owner sees and write as they would.
import crypto from 'node:crypto';

import { baileys, libsignal, senderKeys } from './libraries.js';

const { Curve, encodeBigEndian, generateSignalPubKey, proto, signedKeyPair, unpadRandomMax16, writeRandomPadMax16 } = baileys;
const { GroupCipher, GroupSessionBuilder, SenderKeyName, SenderKeyRecord } = senderKeys;

const signalPair = ({ private: privKey, public: pubKey }) => ({ privKey: Buffer.from(privKey), pubKey: Buffer.from(generateSignalPubKey(pubKey)) });
const node = (tag, content, attrs = {}) => ({ tag, attrs, content });

export class Device {
  identity = Curve.generateKeyPair();
  signedPreKey = signedKeyPair(this.identity, 1);
  registrationId = crypto.randomInt(1, 16_380);
  #preKeys = new Map();
  #sessions = new Map();
  #groups = new Map();

  /** @param {string} user digits @param {string} lid the hidden number's digits */
  constructor(user, lid) {
    this.user = user;
    this.lid = lid;
  }

  /** What someone needs to write to us first: our keys, and one pre-key that is used once. */
  bundle(jid) {
    const id = this.#preKeys.size + 1;
    const preKey = Curve.generateKeyPair();
    this.#preKeys.set(id, preKey);
    const { keyPair, signature } = this.signedPreKey;
    return node('user', [
      node('registration', encodeBigEndian(this.registrationId)),
      node('type', Buffer.from([5])),
      node('identity', this.identity.public),
      node('key', [node('id', encodeBigEndian(id, 3)), node('value', preKey.public)]),
      node('skey', [node('id', encodeBigEndian(1, 3)), node('value', keyPair.public), node('signature', signature)]),
    ], { jid });
  }

  /** Read what the account's client wrote to us. */
  async decrypt(account, { type, body }) {
    const cipher = new libsignal.SessionCipher(this.#storage(), address(account));
    const plain = type === 'pkmsg' ? await cipher.decryptPreKeyWhisperMessage(body) : await cipher.decryptWhisperMessage(body);
    const message = proto.Message.decode(unpadRandomMax16(plain));
    return message.deviceSentMessage?.message ?? message;
  }

  /** Write to the account's client, over its uploaded keys if we never did. */
  async encrypt(account, message) {
    const to = address(account);
    if (!this.#sessions.get(to.toString())?.haveOpenSession()) {
      await new libsignal.SessionBuilder(this.#storage(), to).initOutgoing(account.takeBundle());
    }
    const plain = writeRandomPadMax16(proto.Message.encode(message).finish());
    const { type, body } = await new libsignal.SessionCipher(this.#storage(), to).encrypt(plain);
    return node('enc', Buffer.from(body, 'binary'), { v: '2', type: type === 3 ? 'pkmsg' : 'msg' });
  }

  /** Begin anew with the account's client the next time. */
  forget(account) {
    this.#sessions.delete(address(account).toString());
  }

  /** Write to a group that the account is in: our sender key goes along, as for a member who joined just now. */
  async encryptToGroup(account, group, message) {
    const name = new SenderKeyName(group, { id: this.user, deviceId: 0, toString: () => `${this.user}.0` });
    const storage = {
      loadSenderKey: async given => this.#groups.get(given.toString()) ?? new SenderKeyRecord(),
      storeSenderKey: async (given, record) => void this.#groups.set(given.toString(), record),
    };
    const distribution = await new GroupSessionBuilder(storage).create(name);
    const plain = writeRandomPadMax16(proto.Message.encode(message).finish());
    const body = await new GroupCipher(storage, name).encrypt(plain);
    const key = await this.encrypt(account, { senderKeyDistributionMessage: { groupId: group, axolotlSenderKeyDistributionMessage: distribution.serialize() } });
    return [key, node('enc', Buffer.from(body), { v: '2', type: 'skmsg' })];
  }

  #storage() {
    return {
      loadSession: async id => this.#sessions.get(id),
      storeSession: async (id, session) => void this.#sessions.set(id, session),
      isTrustedIdentity: () => true,
      loadPreKey: async id => this.#preKeys.has(Number(id)) && signalPair(this.#preKeys.get(Number(id))),
      removePreKey: () => {}, // kept: its number must not be given twice
      loadSignedPreKey: () => signalPair(this.signedPreKey.keyPair),
      getOurRegistrationId: () => this.registrationId,
      getOurIdentity: () => signalPair(this.identity),
    };
  }
}

function address(account) {
  return new libsignal.ProtocolAddress(account.user, account.deviceId);
}
