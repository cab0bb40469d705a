// WhatsApp's media host: takes encrypted files over TLS and hands them out; and what phones do with files at both ends.
import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';

import { baileys } from './libraries.js';

const MAC = 10;
const AUTH = 'the pass of the media host';
const KINDS = ['image', 'video', 'audio', 'document', 'sticker'];
const sha256 = data => crypto.createHash('sha256').update(data).digest();

export class MediaHost {
  #files = new Map();
  #faults;
  #https;

  constructor(faults) {
    this.#faults = faults;
    const tls = { cert: fs.readFileSync(process.env.TLS_CHAIN), key: fs.readFileSync(process.env.TLS_KEY) };
    this.#https = https.createServer(tls, (request, response) => this.#answer(request, response));
  }

  async listen() {
    await new Promise((resolve, reject) => this.#https.once('error', reject).listen(0, '127.0.0.1', resolve));
  }

  get name() {
    return `127.0.0.1:${this.#https.address().port}`;
  }

  /** What a client is told that asks where files go. */
  get connection() {
    return { tag: 'media_conn', attrs: { auth: AUTH, ttl: '300', auth_ttl: '300', max_buckets: '12' }, content: [{ tag: 'host', attrs: { hostname: this.name } }] };
  }

  /** A phone puts a file there; returns the message that shows it. */
  async put({ kind, base64, mimetype, caption, fileName }) {
    const data = Buffer.from(base64, 'base64');
    const mediaKey = crypto.randomBytes(32);
    const { iv, cipherKey, macKey } = await baileys.getMediaKeys(mediaKey, kind);
    const cipher = crypto.createCipheriv('aes-256-cbc', cipherKey, iv);
    const body = Buffer.concat([cipher.update(data), cipher.final()]);
    const whole = Buffer.concat([body, crypto.createHmac('sha256', macKey).update(iv).update(body).digest().subarray(0, MAC)]);
    const directPath = this.#keep(whole);
    return {
      [`${kind}Message`]: { url: `https://${this.name}${directPath}`, directPath, mediaKey, mimetype, caption, fileName, fileLength: data.length, fileSha256: sha256(data), fileEncSha256: sha256(whole) },
    };
  }

  /** What a phone shows of a message with a file, once it has fetched and checked it; undefined for another message. */
  async shown(message) {
    const kind = KINDS.find(each => message[`${each}Message`]);
    if (!kind) return undefined;
    const { directPath, mediaKey, mimetype, caption, fileName, ptt, fileEncSha256, fileSha256 } = message[`${kind}Message`];
    const whole = this.#files.get(directPath);
    if (!whole || !sha256(whole).equals(Buffer.from(fileEncSha256))) throw new Error('the file is not at the host');
    const { iv, cipherKey, macKey } = await baileys.getMediaKeys(mediaKey, kind);
    const body = whole.subarray(0, -MAC);
    const mac = crypto.createHmac('sha256', macKey).update(iv).update(body).digest().subarray(0, MAC);
    if (!mac.equals(whole.subarray(-MAC))) throw new Error('the file is not signed');
    const decipher = crypto.createDecipheriv('aes-256-cbc', cipherKey, iv);
    const data = Buffer.concat([decipher.update(body), decipher.final()]);
    if (!sha256(data).equals(Buffer.from(fileSha256))) throw new Error('the file is another than the message says');
    return { kind, base64: data.toString('base64'), mimetype, caption: caption || null, file_name: fileName || null, voice: Boolean(ptt) };
  }

  /** Files that nobody fetched for long are gone. */
  forget() {
    this.#files.clear();
  }

  #keep(whole) {
    const directPath = `/v/t62/${sha256(whole).toString('base64url')}`;
    this.#files.set(directPath, whole);
    return directPath;
  }

  async #answer(request, response) {
    const { pathname, searchParams } = new URL(request.url, 'https://host');
    const parts = [];
    for await (const part of request) parts.push(part);
    const fault = this.#faults.takeOfMedia();
    if (fault.kind === 'media_drop') return request.socket.destroy();
    const say = (status, body) => response.writeHead(status).end(body);
    if (fault.kind === 'media_refuse') return say(fault.code);
    if (request.method === 'GET') return this.#files.has(pathname) ? say(200, this.#files.get(pathname)) : say(404);
    const whole = Buffer.concat(parts);
    const named = /^\/mms\/(image|video|audio|document)\/([\w-]+)$/.exec(pathname)?.[2];
    if (named !== sha256(whole).toString('base64url') || searchParams.get('auth') !== AUTH || searchParams.get('token') !== named) return say(401);
    const directPath = this.#keep(whole);
    say(200, JSON.stringify({ url: `https://${this.name}${directPath}`, direct_path: directPath }));
  }
}
