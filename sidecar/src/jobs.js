// The jobs of the queue `message`, in the shape and with the ids that every producer of it uses.
import { Queue } from 'bullmq';

const user = jid => jid.split('@')[0].split(':')[0];

/** @param {ReturnType<typeof import('./settings.js').read>} settings */
export function jobs(settings) {
  const queue = new Queue('message', { connection: connectionOf(settings.redisUrl), prefix: settings.prefix, defaultJobOptions: settings.job });
  queue.on('error', () => {}); // ioredis comes back by itself; what was not added stays in the journal
  const idOf = (...parts) => parts.join('-').replaceAll(':', '-');
  const add = (name, data, ...parts) => queue.add(name, data, { jobId: idOf(...parts) });
  return {
    /** Add the `incoming` job of a journal entry. A redelivery is the same job. */
    async handleIncomingMessage({ organizationId, instanceId }, entry) {
      const data = {
        organizationId,
        instanceId,
        // A hidden number that nothing resolved stays as it is: its job fails with a reason that people see.
        from: entry.number ? `+${user(entry.number)}` : entry.author,
        content: entry.content,
        messageId: entry.messageId,
        sentAt: entry.sentAt,
        fromName: entry.name ?? null,
      };
      await add('incoming', data, instanceId, entry.messageId, entry.sentAt);
    },
    /** Whether the job of that message is in Redis. */
    has: async (instanceId, messageId, sentAt) => Boolean(await queue.getJob(idOf(instanceId, messageId, sentAt))),
    async handleReceipt({ organizationId, instanceId }, { messageId, status, at }) {
      await add('receipt', { organizationId, instanceId, messageId, status, at, errorCode: null, error: null }, instanceId, messageId, status, at);
    },
    /** Tell how the number stands with WhatsApp; the latest word holds, in whatever order they come. */
    async handleConnection({ organizationId, instanceId }, { state, code, reason, until }) {
      const at = Date.now();
      const details = { state, code, reason, until };
      await add('update', { organizationId, instanceId, kind: 'connection', subject: 'connection', at, details, accountId: null }, instanceId, 'connection', state, at);
    },
    close: () => queue.close(),
  };
}

/** @param {string} url */
export function connectionOf(url) {
  // Never give up on a Redis that is away; a command waits, and its journal entry with it.
  const patience = { maxRetriesPerRequest: null };
  const { protocol, pathname } = new URL(url);
  return protocol === 'unix:' ? { ...patience, path: pathname } : { ...patience, url };
}
