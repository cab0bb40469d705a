// Baileys' authentication state in PostgreSQL: one sealed row a key, one fenced transaction a commit.
import { initAuthCreds, proto } from 'baileys';

import { fenced } from './leases.js';

/** @param {(error: Error) => void} onFailure called before the error goes on to Baileys, which would answer for it */
export async function authState(pool, lease, seal, onFailure) {
  const { instanceId, organizationId } = lease;
  let retired = false;
  const told = work => work().catch(error => {
    if (!retired) onFailure(error);
    throw error;
  });
  const commit = work => told(() => fenced(pool, lease, client => {
    if (retired) throw new Error('the socket was closed'); // asked under the row's lock, which a wipe holds before
    return work(client);
  }));
  const { rows } = await pool.query('SELECT creds FROM baileys_sessions WHERE instance_id = $1', [instanceId]);
  const creds = rows[0]?.creds ? seal.open(rows[0].creds, instanceId, 'creds') : initAuthCreds();
  return {
    creds,
    /** Store nothing more: a socket that was closed goes on for a while, and must not bring back what was wiped. */
    retire: () => (retired = true),
    keys: {
      get: (type, ids) => told(async () => {
        if (!ids.length) return {};
        const found = await pool.query('SELECT id, value FROM baileys_keys WHERE instance_id = $1 AND type = $2 AND id = ANY ($3)', [instanceId, type, ids]);
        return Object.fromEntries(found.rows.map(({ id, value }) => [id, revived(type, seal.open(value, instanceId, type, id))]));
      }),
      set: data => commit(async client => {
        const all = Object.entries(data).flatMap(([type, entries]) => Object.entries(entries).map(([id, value]) => ({ type, id, value })));
        const [gone, kept] = [all.filter(({ value }) => !value), all.filter(({ value }) => value)];
        const names = entries => [entries.map(({ type }) => type), entries.map(({ id }) => id)];
        if (gone.length) {
          await client.query('DELETE FROM baileys_keys WHERE instance_id = $1 AND (type, id) IN (SELECT * FROM unnest($2::text[], $3::text[]))', [instanceId, ...names(gone)]);
        }
        if (!kept.length) return;
        await client.query(
          `INSERT INTO baileys_keys (instance_id, organization_id, type, id, value)
           SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::bytea[])
           ON CONFLICT (instance_id, type, id) DO UPDATE SET value = excluded.value`,
          [instanceId, organizationId, ...names(kept), kept.map(({ type, id, value }) => seal.seal(value, instanceId, type, id))],
        );
      }),
    },
    /** Store the credentials; `paired` says that the phone has let us in. */
    save: () => commit(client => client.query(
      'UPDATE baileys_sessions SET creds = $2, paired = $3, updated_at = now() WHERE instance_id = $1',
      [instanceId, seal.seal(creds, instanceId, 'creds'), Boolean(creds.account)],
    )),
  };
}

/** Forget a number's account: nothing that could open it again stays. */
export async function wipe(pool, lease) {
  await fenced(pool, lease, async client => {
    // The row first: it waits for commits that are under way.
    await client.query('UPDATE baileys_sessions SET creds = NULL, paired = false, updated_at = now() WHERE instance_id = $1', [lease.instanceId]);
    await client.query('DELETE FROM baileys_keys WHERE instance_id = $1', [lease.instanceId]);
  });
}

const revived = (type, value) => (type === 'app-state-sync-key' ? proto.Message.AppStateSyncKeyData.fromObject(value) : value);
