// Who holds which number: a row with an owner, an end and a fence, all in PostgreSQL, since what the fence guards (the
// keys) is there too. A commit of a holder that lost its lease finds another fence and is refused.

export class LeaseLost extends Error {}

/** @param {{owner: string, leaseMs: number}} settings `owner` is the address that we listen on: no two have it at once */
export function leases(pool, { owner, leaseMs }) {
  const until = `now() + make_interval(secs => ${leaseMs / 1000})`;
  const free = '(owner IS NULL OR owner = $1 OR leased_until < now())';
  const take = `UPDATE baileys_sessions SET owner = $1, fence = fence + 1, leased_until = ${until}, updated_at = now()`;
  const taken = 'RETURNING instance_id, organization_id, fence, paired';
  const all = async (sql, ...values) => (await pool.query(sql, values)).rows;
  return {
    /** Make the number's row if there is none; nothing if the instance is not the organization's. */
    enrol: (organizationId, instanceId) => all(
      `INSERT INTO baileys_sessions (instance_id, organization_id)
       SELECT id, organization_id FROM instances WHERE id = $2 AND organization_id = $1 AND gateway = 'baileys'
       ON CONFLICT (instance_id) DO NOTHING`,
      organizationId, instanceId,
    ),
    /** Take one number if it is free; returns its row, or undefined. */
    take: async instanceId => (await all(`${take} WHERE instance_id = $2 AND ${free} ${taken}`, owner, instanceId))[0],
    /** Take up to `most` numbers that nobody holds and that are paired, or have messages left in the journal. */
    takeFree: (most, held) => all(
      `${take} WHERE instance_id IN (SELECT instance_id FROM baileys_sessions AS number
                WHERE (paired OR EXISTS (SELECT 1 FROM baileys_journal AS kept WHERE kept.instance_id = number.instance_id))
                  AND ${free} AND instance_id <> ALL ($3) ORDER BY instance_id LIMIT $2 FOR UPDATE SKIP LOCKED) ${taken}`,
      owner, most, held,
    ),
    /** Prolong what we hold; returns the ids that are still ours. */
    renew: async held => {
      const ours = await all(
        `UPDATE baileys_sessions SET leased_until = ${until} FROM unnest($2::text[], $3::bigint[]) AS mine (id, number)
          WHERE instance_id = mine.id AND fence = mine.number AND owner = $1 RETURNING instance_id`,
        owner, held.map(line => line.instanceId), held.map(line => line.fence),
      );
      return new Set(ours.map(row => row.instance_id));
    },
    release: ({ instanceId, fence }) => all('UPDATE baileys_sessions SET owner = NULL, leased_until = NULL WHERE instance_id = $1 AND fence = $2', instanceId, fence),
    /** The address of the process that holds the number now, if one does. */
    holder: async instanceId => (await all('SELECT owner FROM baileys_sessions WHERE instance_id = $1 AND leased_until > now()', instanceId))[0]?.owner,
  };
}

/** Run `work` in one transaction that no other holder can have overtaken. */
export async function fenced(pool, { instanceId, fence }, work) {
  const client = await pool.connect();
  if (!client.listenerCount('error')) client.on('error', () => {}); // a link that breaks between two statements: the next one fails, not the process
  let broken;
  try {
    // Should we hang in here, the row is not kept from the next holder.
    await client.query("BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'");
    const { rowCount } = await client.query('SELECT 1 FROM baileys_sessions WHERE instance_id = $1 AND fence = $2 FOR SHARE', [instanceId, fence]);
    if (!rowCount) throw new LeaseLost(`another process holds ${instanceId} now`);
    await work(client);
    await client.query('COMMIT');
  } catch (error) {
    broken = await client.query('ROLLBACK').then(() => undefined, failure => failure);
    throw error;
  } finally {
    client.release(broken); // a link that could not even roll back is not used again
  }
}
