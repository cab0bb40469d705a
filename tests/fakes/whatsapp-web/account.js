// A number with a linked client: pairing as its phone does it, the client's uploaded keys, and what waits for it.
import crypto from 'node:crypto';

import { Device } from './device.js';
import { baileys } from './libraries.js';

const { Curve, generateSignalPubKey, hmacSign, proto } = baileys;
const whole = bytes => Buffer.from(bytes).readUIntBE(0, bytes.length);

/** What a client says of itself when it wants to be linked. */
export function registration(data) {
  const signedPreKey = { id: whole(data.eSkeyId), value: Buffer.from(data.eSkeyVal), signature: Buffer.from(data.eSkeySig) };
  const identity = Buffer.from(data.eIdent);
  if (!Curve.verify(identity, generateSignalPubKey(signedPreKey.value), signedPreKey.signature)) throw new Error('the signed pre-key is not signed');
  return { identity, registrationId: whole(data.eRegid), signedPreKey };
}

export class Account {
  deviceId = 1 + crypto.randomInt(60);
  keyIndex = 1;
  connection;
  /** Stanzas that the client has not confirmed, by their id: they are delivered until it does. */
  waiting = new Map();
  #preKeys = new Map();

  constructor(user, { identity, registrationId, signedPreKey }, clientKey) {
    Object.assign(this, { user, lid: `8${user}`, identity, registrationId, signedPreKey, clientKey });
    this.phone = new Device(user, this.lid);
  }

  get preKeys() {
    return this.#preKeys.size;
  }

  store(preKeys, signedPreKey) {
    for (const [id, value] of preKeys) this.#preKeys.set(whole(id), Buffer.from(value));
    if (signedPreKey) this.signedPreKey = { id: whole(signedPreKey.id), value: Buffer.from(signedPreKey.value), signature: Buffer.from(signedPreKey.signature) };
  }

  /** The keys with which a first message to the client is written; a pre-key is given once. */
  takeBundle() {
    const [preKey] = this.#preKeys;
    if (preKey) this.#preKeys.delete(preKey[0]);
    const signal = key => Buffer.from(generateSignalPubKey(key));
    return {
      registrationId: this.registrationId,
      identityKey: signal(this.identity),
      signedPreKey: { keyId: this.signedPreKey.id, publicKey: signal(this.signedPreKey.value), signature: this.signedPreKey.signature },
      preKey: preKey && { keyId: preKey[0], publicKey: signal(preKey[1]) },
    };
  }

  /** What the phone signs when its owner scans the code: the client's identity, sealed with the code's secret. */
  vouch(secret) {
    const details = proto.ADVDeviceIdentity.encode({ rawId: crypto.randomInt(2 ** 31), timestamp: Math.floor(Date.now() / 1000), keyIndex: this.keyIndex, accountType: 0, deviceType: 0 }).finish();
    const accountSignature = Curve.sign(this.phone.identity.private, Buffer.concat([Buffer.from([6, 0]), details, this.identity]));
    const signed = proto.ADVSignedDeviceIdentity.encode({ details, accountSignatureKey: this.phone.identity.public, accountSignature }).finish();
    return proto.ADVSignedDeviceIdentityHMAC.encode({ details: signed, hmac: hmacSign(signed, secret) }).finish();
  }

  /** Check the client's own signature over that. */
  checkCounterSignature(encoded) {
    const { details, deviceSignature } = proto.ADVSignedDeviceIdentity.decode(encoded);
    const signed = Buffer.concat([Buffer.from([6, 1]), details, this.identity, this.phone.identity.public]);
    if (!Curve.verify(this.identity, signed, deviceSignature)) throw new Error('the device signature is wrong');
  }
}
