// Baileys' authentication state in PostgreSQL: one sealed row a key, one fenced transaction a commit.
import { BufferJSON, initAuthCreds, proto } from 'baileys';

import { fenced } from './leases.js';

/**
 * @param {import('pg').Pool} pool
 * @param {{instanceId: string, organizationId: string, fence: string}} lease
 * @param {ReturnType<typeof import('./sealing.js').sealing>} seal
 * @param {(error: Error) => void} onFailure called before the error goes on to Baileys, which would answer for it
 */
export async function authState(pool, lease, seal, onFailure) {
  const { instanceId, organizationId } = lease;
  let retired = false;
  const mustNotBeRetired = () => {
    if (retired) throw new Error('the socket was closed');
  };
  const told = async work => {
    try {
      return await work();
    } catch (error) {
      if (!retired) onFailure(error);
      throw error;
    }
  };
  const { rows } = await pool.query('SELECT creds FROM baileys_sessions WHERE instance_id = $1', [instanceId]);
  const stored = rows[0]?.creds;
  const creds = stored ? JSON.parse(seal.open(stored, instanceId, 'creds'), BufferJSON.reviver) : initAuthCreds();
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
      set: data => told(() => fenced(pool, lease, async client => {
        mustNotBeRetired(); // asked under the row's lock, which a wipe holds before
        for (const [type, entries] of Object.entries(data)) {
          const all = Object.entries(entries);
          const gone = all.filter(([, value]) => !value).map(([id]) => id);
          const kept = all.filter(([, value]) => value);
          const values = kept.map(([id, value]) => seal.seal(JSON.stringify(value, BufferJSON.replacer), instanceId, type, id));
          if (gone.length) await client.query('DELETE FROM baileys_keys WHERE instance_id = $1 AND type = $2 AND id = ANY ($3)', [instanceId, type, gone]);
          if (!kept.length) continue;
          await client.query(
            `INSERT INTO baileys_keys (instance_id, organization_id, type, id, value)
             SELECT $1, $2, $3, * FROM unnest($4::text[], $5::bytea[])
             ON CONFLICT (instance_id, type, id) DO UPDATE SET value = excluded.value`,
            [instanceId, organizationId, type, kept.map(([id]) => id), values],
          );
        }
      })),
    },
    /** Store the credentials; `paired` says that the phone has let us in. */
    save: () => told(() => fenced(pool, lease, async client => {
      mustNotBeRetired();
      const sealed = seal.seal(JSON.stringify(creds, BufferJSON.replacer), instanceId, 'creds');
      await client.query('UPDATE baileys_sessions SET creds = $2, paired = $3, updated_at = now() WHERE instance_id = $1', [instanceId, sealed, Boolean(creds.account)]);
    })),
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

function revived(type, plain) {
  const value = JSON.parse(plain, BufferJSON.reviver);
  return type === 'app-state-sync-key' ? proto.Message.AppStateSyncKeyData.fromObject(value) : value;
}
