// What came in, sealed, from before the ratchet moved until its job is in Redis. Live or after a crash there is this one
// way to the queue: write, drain, delete.
import { fenced } from './leases.js';

/**
 * @param {import('pg').Pool} pool
 * @param {ReturnType<typeof import('./sealing.js').sealing>} seal
 */
export function journal(pool, seal) {
  return {
    /** Keep a message; the same one again changes nothing. */
    async write(lease, chat, entry) {
      await fenced(pool, lease, client => client.query(
        `INSERT INTO baileys_journal (instance_id, organization_id, chat, message_id, entry) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (instance_id, chat, message_id) DO NOTHING`,
        [lease.instanceId, lease.organizationId, chat, entry.messageId, seal.seal(JSON.stringify(entry), lease.instanceId, 'journal', entry.messageId)],
      ));
    },
    /** The oldest entries of a number, in the order in which they came. */
    async oldest(instanceId, most = 100) {
      const { rows } = await pool.query('SELECT number, message_id, entry FROM baileys_journal WHERE instance_id = $1 ORDER BY number LIMIT $2', [instanceId, most]);
      return rows.map(row => ({ number: row.number, entry: JSON.parse(seal.open(row.entry, instanceId, 'journal', row.message_id)) }));
    },
    /** Whether the message was journaled once: it is here still, or is stored already. */
    async knows(instanceId, chat, messageId) {
      const { rows } = await pool.query(
        `SELECT EXISTS (SELECT 1 FROM baileys_journal WHERE instance_id = $1 AND chat = $2 AND message_id = $3)
             OR EXISTS (SELECT 1 FROM messages WHERE instance_id = $1 AND wire_id = $3 AND direction = 'in') AS known`,
        [instanceId, chat, messageId],
      );
      return rows[0].known;
    },
    async forget(instanceId, numbers) {
      await pool.query('DELETE FROM baileys_journal WHERE instance_id = $1 AND number = ANY ($2)', [instanceId, numbers]);
    },
  };
}
