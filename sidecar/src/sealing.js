// AES-256-GCM for what is a full account credential, or a person's message. What it is sealed for is authenticated too,
// so that a row which was moved to another number or name does not open.
import crypto from 'node:crypto';

import { BufferJSON } from 'baileys';

const VERSION = 1;
const HEAD = 1 + 12 + 16;

/** @param {Buffer} key 32 bytes */
export function sealing(key) {
  return {
    /** @param {unknown} value anything that JSON can hold, buffers too @param {...string} about @returns {Buffer} */
    seal(value, ...about) {
      const iv = crypto.randomBytes(12);
      const cipher = crypto.createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(about.join('\0')));
      const body = Buffer.concat([cipher.update(JSON.stringify(value, BufferJSON.replacer)), cipher.final()]);
      return Buffer.concat([Buffer.from([VERSION]), iv, cipher.getAuthTag(), body]);
    },
    /** @param {Buffer} sealed @param {...string} about */
    open(sealed, ...about) {
      if (sealed.length < HEAD || sealed[0] !== VERSION) throw new Error(`${about[0]}: not sealed by this version`);
      const decipher = crypto.createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 13));
      decipher.setAAD(Buffer.from(about.join('\0'))).setAuthTag(sealed.subarray(13, HEAD));
      try {
        return JSON.parse(Buffer.concat([decipher.update(sealed.subarray(HEAD)), decipher.final()]), BufferJSON.reviver);
      } catch {
        throw new Error(`${about[0]}: BERRANTE_BAILEYS_KEY is not the key that sealed it`);
      }
    },
  };
}
