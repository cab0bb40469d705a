// The process: wires the parts, and ends in order on a signal.
import './console_guard.js';

import pg from 'pg';

import { Fleet } from './fleet.js';
import { jobs } from './jobs.js';
import { journal } from './journal.js';
import { leases } from './leases.js';
import { write } from './log.js';
import { sealing } from './sealing.js';
import { server } from './server.js';
import { read, SettingsInvalid } from './settings.js';

async function main() {
  const settings = read(process.env);
  const pool = new pg.Pool({ connectionString: settings.databaseUrl, max: 10 });
  pool.on('error', error => write('warning', 'database.away', { reason: error.message }));
  const die = at => at === settings.dieAt && process.kill(process.pid, 'SIGKILL');
  const seal = sealing(settings.key);
  const queue = jobs(settings);
  const deps = { settings, pool, seal, die, jobs: queue, journal: journal(pool, seal), sentText: sentText(pool) };
  const fleet = new Fleet(deps);
  const http = server(fleet, { token: settings.token, die });
  // The port comes first: our address is the owner's name on every lease, and no other process has it while we do.
  await new Promise((resolve, reject) => http.once('error', reject).listen(settings.port, settings.host, resolve));
  const owner = `http://${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${http.address().port}`;
  deps.leases = leases(pool, { owner, leaseMs: settings.leaseMs });
  await fleet.start();
  write('info', 'ready', { url: owner, pid: process.pid, numbers: fleet.size });

  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    http.close();
    await fleet.stop();
    http.closeAllConnections();
    await queue.close();
    await pool.end();
    write('info', 'stopped');
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  // Our parent holds the other end of standard input: when it dies, however it dies, so do we.
  if (process.env.SIDECAR_CHILD === '1') process.stdin.on('end', stop).on('error', stop).resume();
}

// A recipient's phone that could not decrypt asks once more, and Baileys asks us what it was.
const sentText = pool => async (instanceId, wireId) => {
  const { rows } = await pool.query(`SELECT content->>'text' AS text FROM messages WHERE instance_id = $1 AND wire_id = $2 AND direction = 'out'`, [instanceId, wireId]);
  return rows[0]?.text ?? undefined;
};

process.on('unhandledRejection', error => write('error', 'rejection.unhandled', { reason: error?.message }));
main().catch(error => {
  write('error', error instanceof SettingsInvalid ? 'settings.invalid' : 'start.failed', { reason: error.message });
  process.exit(2);
});
