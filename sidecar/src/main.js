// The process: wires the parts, and ends in order on a signal.
import { write } from './log.js';

import pg from 'pg';

import { Fleet } from './fleet.js';
import { inbound } from './inbound.js';
import { leases } from './leases.js';
import { sealing } from './sealing.js';
import { server } from './server.js';

async function main() {
  const settings = JSON.parse(process.env.BERRANTE_SIDECAR); // made and checked by gateways/baileys/configuration.py
  const pool = new pg.Pool({ connectionString: settings.databaseUrl, max: 10 });
  pool.on('error', error => write('warning', 'database.away', { reason: error.message }));
  const die = at => at === settings.dieAt && process.kill(process.pid, 'SIGKILL');
  const seal = sealing(Buffer.from(settings.key, 'base64'));
  const deps = { settings, pool, seal, die, inbound: inbound(pool, seal, settings) };
  const fleet = new Fleet(deps);
  const http = server(fleet, { token: settings.token, die });
  // The port comes first: our address is the owner's name on every lease, and no other process has it while we do.
  await new Promise((resolve, reject) => http.once('error', reject).listen(settings.port, settings.host, resolve));
  deps.leases = leases(pool, settings);
  await fleet.start();
  write('info', 'ready', { url: settings.owner, pid: process.pid, numbers: fleet.size });

  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    http.close();
    await fleet.stop();
    http.closeAllConnections();
    await deps.inbound.close();
    await pool.end();
    write('info', 'stopped');
    process.exit(0);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  // Our parent holds the other end of standard input: when it dies, however it dies, so do we.
  if (process.env.SIDECAR_CHILD === '1') process.stdin.on('end', stop).on('error', stop).resume();
}

process.on('unhandledRejection', error => write('error', 'rejection.unhandled', { reason: error?.message }));
main().catch(error => {
  write('error', 'start.failed', { reason: error.message });
  process.exit(2);
});
