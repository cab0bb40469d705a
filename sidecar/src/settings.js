// What the environment says; a missing or unfit variable ends the process with a sentence that names it.
import { isIP } from 'node:net';

export class SettingsInvalid extends Error {}

const PRIVATE = [/^127\./, /^10\./, /^192\.168\./, /^172\.(1[6-9]|2\d|3[01])\./, /^::1$/, /^f[cd][0-9a-f]{2}:/i];
const LOOPBACK = new Set(['127.0.0.1', '[::1]', 'localhost']);

/** @param {Record<string, string|undefined>} env */
export function read(env) {
  const testing = env.SIDECAR_TEST === '1';
  const host = env.BERRANTE_BAILEYS_HOST || '127.0.0.1';
  if (!isIP(host) || !PRIVATE.some(range => range.test(host))) {
    throw new SettingsInvalid(`BERRANTE_BAILEYS_HOST is ${host}: give a loopback or private address, never a public one`);
  }
  return Object.freeze({
    host,
    port: whole(env, 'BERRANTE_BAILEYS_PORT', 8790),
    token: secret(env, 'BERRANTE_BAILEYS_TOKEN'),
    key: sealingKey(secret(env, 'BERRANTE_BAILEYS_KEY')),
    databaseUrl: secret(env, 'DATABASE_URL').replace('postgresql+asyncpg:', 'postgresql:'),
    redisUrl: secret(env, 'REDIS_URL'),
    prefix: env.BERRANTE_QUEUE_PREFIX || 'bull',
    waUrl: whatsappUrl(env.SIDECAR_TEST_WA_URL, testing),
    // Set only beside a fake server, whose certificate chain begins elsewhere.
    waRoot: testing ? env.SIDECAR_TEST_WA_ROOT : undefined,
    capacity: whole(env, 'BERRANTE_BAILEYS_CAPACITY', 100),
    leaseMs: whole(env, 'BERRANTE_BAILEYS_LEASE_MS', 15_000),
    ackMs: whole(env, 'BERRANTE_BAILEYS_ACK_MS', 8_000),
    silentMs: whole(env, 'BERRANTE_BAILEYS_SILENT_MS', 600_000),
    backoffMs: whole(env, 'BERRANTE_BAILEYS_BACKOFF_MS', 1_000),
    backoffCapMs: whole(env, 'BERRANTE_BAILEYS_BACKOFF_CAP_MS', 120_000),
    job: Object.freeze({
      attempts: whole(env, 'BERRANTE_MESSAGE_ATTEMPTS', 4),
      backoff: { type: 'exponential', delay: whole(env, 'BERRANTE_MESSAGE_BACKOFF_DELAY_MS', 2_000) },
      removeOnComplete: { age: whole(env, 'BERRANTE_MESSAGE_KEEP_COMPLETED_AGE_S', 86_400), count: whole(env, 'BERRANTE_MESSAGE_KEEP_COMPLETED_COUNT', 500) },
      removeOnFail: { age: whole(env, 'BERRANTE_MESSAGE_KEEP_FAILED_AGE_S', 604_800), count: whole(env, 'BERRANTE_MESSAGE_KEEP_FAILED_COUNT', 500) },
    }),
    // Tests only: where the process kills itself, so that a crash falls on a chosen line.
    dieAt: testing ? env.SIDECAR_TEST_DIE_AT : undefined,
  });
}

/**
 * TLS is all that proves the server: Baileys' own certificate check lets any signature pass. So nothing but wss, unless
 * it stays on this machine and a test says so.
 * @param {string|undefined} url
 * @param {boolean} testing
 */
export function whatsappUrl(url, testing) {
  if (!url) return undefined;
  const { protocol, hostname } = new URL(url);
  if (protocol === 'wss:') return url;
  if (protocol === 'ws:' && testing && LOOPBACK.has(hostname)) return url;
  throw new SettingsInvalid('SIDECAR_TEST_WA_URL is not wss: an open link is for tests on loopback (SIDECAR_TEST=1)');
}

function sealingKey(text) {
  const key = Buffer.from(text, 'base64');
  if (key.length !== 32) throw new SettingsInvalid('BERRANTE_BAILEYS_KEY is not 32 bytes in base64: make one with openssl rand -base64 32');
  return key;
}

function secret(env, name) {
  if (!env[name]) throw new SettingsInvalid(`${name} is not set: the sidecar needs it`);
  return env[name];
}

function whole(env, name, otherwise) {
  const text = env[name];
  if (!text) return otherwise;
  if (!/^\d{1,12}$/.test(text)) throw new SettingsInvalid(`${name} is ${text.slice(0, 40)}: give a whole number`);
  return Number(text);
}
