// The way of what came in to the queue: into a sealed journal before the ratchet moves, then to a job, then out of the
// journal. Live or after a crash there is this one way: write, drain, forget.
import { Queue } from 'bullmq';

import { fenced } from './leases.js';
import { user } from './reading.js';

export function inbound(pool, seal, { redis: connection, queuePrefix: prefix, job }) {
  const queue = new Queue('message', { connection, prefix, defaultJobOptions: job });
  queue.on('error', () => {}); // ioredis comes back by itself; what was not added stays in the journal
  const idOf = (...parts) => parts.join('-').replaceAll(':', '-'); // the id that every producer of the queue gives it
  const add = (name, { organizationId, instanceId }, data, ...id) => queue.add(name, { organizationId, instanceId, ...data }, { jobId: idOf(instanceId, ...id) });
  return {
    /** Keep a message; the same one again changes nothing. */
    keep: (lease, chat, entry) => fenced(pool, lease, client => client.query(
      `INSERT INTO baileys_journal (instance_id, organization_id, chat, message_id, entry) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (instance_id, chat, message_id) DO NOTHING`,
      [lease.instanceId, lease.organizationId, chat, entry.messageId, seal.seal(entry, lease.instanceId, 'journal', entry.messageId)],
    )),
    /** The oldest entries of a number, in the order in which they came. */
    async oldest(instanceId, most = 100) {
      const { rows } = await pool.query('SELECT number, message_id, entry FROM baileys_journal WHERE instance_id = $1 ORDER BY number LIMIT $2', [instanceId, most]);
      return rows.map(row => ({ number: row.number, entry: seal.open(row.entry, instanceId, 'journal', row.message_id) }));
    },
    /** Add the `incoming` job of a journal entry. A redelivery is the same job. */
    async handleIncomingMessage(line, { messageId, sentAt, content, number, author, name = null }) {
      // A hidden number that nothing resolved stays as it is: its job fails with a reason that people see.
      const from = number ? `+${user(number)}` : author;
      await add('incoming', line, { from, content, messageId, sentAt, fromName: name }, messageId, sentAt);
    },
    forget: (instanceId, number) => pool.query('DELETE FROM baileys_journal WHERE instance_id = $1 AND number = $2', [instanceId, number]),
    /** Whether the message of a stanza came in once: it is in the journal, or stored, or (asked last) its job is in Redis. */
    async knows(instanceId, { from, id, t }) {
      const { rows } = await pool.query(
        `SELECT EXISTS (SELECT 1 FROM baileys_journal WHERE instance_id = $1 AND chat = $2 AND message_id = $3)
             OR EXISTS (SELECT 1 FROM messages WHERE instance_id = $1 AND wire_id = $3 AND direction = 'in') AS known`,
        [instanceId, from, id],
      );
      return rows[0].known || Boolean(await queue.getJob(idOf(instanceId, id, Number(t) * 1000)));
    },
    handleReceipt: (line, { messageId, status, at }) =>
      add('receipt', line, { messageId, status, at, errorCode: null, error: null }, messageId, status, at),
    /** Tell what state the number is in; the latest word holds, in whatever order they come. */
    async handleConnection(line, details) {
      const at = Date.now();
      const data = { kind: 'connection', subject: 'connection', at, details, accountId: null };
      await add('update', line, data, 'connection', details.state, details.locked, at);
    },
    close: () => queue.close(),
  };
}
