// The server's half of Noise_XX_25519_AESGCM_SHA256, and the certificate that a client may check.
import { baileys } from './libraries.js';

const { aesDecryptGCM, aesEncryptGCM, Curve, hkdf, NOISE_MODE, NOISE_WA_HEADER, proto, sha256 } = baileys;
const NOTHING = Buffer.alloc(0);

const nonce = number => {
  const iv = Buffer.alloc(12);
  iv.writeUInt32BE(number, 8);
  return iv;
};

export class NoiseResponder {
  #hash = Buffer.from(NOISE_MODE);
  #salt = this.#hash;
  #key = this.#hash;
  #counter = 0;
  #ephemeral = Curve.generateKeyPair();
  #identity;
  #received = 0;
  #sent = 0;

  constructor(identity) {
    this.#identity = identity;
  }

  /** Answer a ClientHello. */
  hello(frame, certificate) {
    const { clientHello } = proto.HandshakeMessage.decode(frame);
    this.#mixHash(NOISE_WA_HEADER);
    this.#mixHash(clientHello.ephemeral);
    this.#mixHash(this.#ephemeral.public);
    this.#mixKey(Curve.sharedKey(this.#ephemeral.private, clientHello.ephemeral));
    const key = this.#encrypt(this.#identity.public);
    this.#mixKey(Curve.sharedKey(this.#identity.private, clientHello.ephemeral));
    const payload = this.#encrypt(certificate);
    return Buffer.from(proto.HandshakeMessage.encode({ serverHello: { ephemeral: this.#ephemeral.public, static: key, payload } }).finish());
  }

  /** Read a ClientFinish: who the client is and what it wants. From here on, `seal` and `open`. */
  finish(frame) {
    const { clientFinish } = proto.HandshakeMessage.decode(frame);
    const clientKey = this.#decrypt(clientFinish.static);
    this.#mixKey(Curve.sharedKey(this.#ephemeral.private, clientKey));
    const payload = proto.ClientPayload.decode(this.#decrypt(clientFinish.payload));
    const keys = this.#derive(NOTHING);
    this.open = body => aesDecryptGCM(body, keys.subarray(0, 32), nonce(this.#received++), NOTHING);
    this.seal = body => aesEncryptGCM(body, keys.subarray(32), nonce(this.#sent++), NOTHING);
    return { clientKey, payload };
  }

  #derive(secret) {
    return Buffer.from(hkdf(Buffer.from(secret), 64, { salt: this.#salt, info: '' }));
  }

  #mixHash(data) {
    this.#hash = sha256(Buffer.concat([this.#hash, data]));
  }

  #mixKey(secret) {
    const derived = this.#derive(secret);
    this.#salt = derived.subarray(0, 32);
    this.#key = derived.subarray(32);
    this.#counter = 0;
  }

  #encrypt(plain) {
    const body = aesEncryptGCM(plain, this.#key, nonce(this.#counter++), this.#hash);
    this.#mixHash(body);
    return body;
  }

  #decrypt(body) {
    const plain = aesDecryptGCM(body, this.#key, nonce(this.#counter++), this.#hash);
    this.#mixHash(body);
    return plain;
  }
}

/** A root, and a chain from it to the server's key, as WhatsApp has one. */
export function certified(serverKey) {
  const root = Curve.generateKeyPair();
  const intermediate = Curve.generateKeyPair();
  const { Details } = proto.CertChain.NoiseCertificate;
  const signed = (signer, serial, issuerSerial, key) => {
    const details = Details.encode({ serial, issuerSerial, key, notBefore: 0, notAfter: 4e9 }).finish();
    return { details, signature: Curve.sign(signer.private, details) };
  };
  const chain = { intermediate: signed(root, 1, 0, intermediate.public), leaf: signed(intermediate, 2, 1, serverKey.public) };
  return { root: Buffer.from(root.public), certificate: proto.CertChain.encode(chain).finish() };
}
