// The control side: HTTP with a token, for the Python side alone. Every answer is JSON.
import crypto from 'node:crypto';
import http from 'node:http';
import { json as read } from 'node:stream/consumers';

import { write } from './log.js';
import { Refused } from './refusals.js';

const PATH = /^\/instances\/([a-z0-9-]{1,40})(?:\/(connect|messages|media|logout))?$/;
const digest = text => crypto.createHash('sha256').update(text).digest();

/** @param {import('./fleet.js').Fleet} fleet @param {{token: string, die: (at: string) => void}} options */
export function server(fleet, { token, die }) {
  const expected = digest(`Bearer ${token}`);

  /** Returns what to answer with: a status and a value. */
  const answer = async (request, response) => {
    if (!crypto.timingSafeEqual(digest(request.headers.authorization ?? ''), expected)) throw new Refused('unauthorized', { status: 401 });
    if (request.url === '/health') return [200, { status: 'ok', numbers: fleet.size }];
    const [, instanceId, part = ''] = PATH.exec(request.url) ?? [];
    if (!instanceId) throw new Refused('not_found', { status: 404 });
    const organizationId = request.headers['x-organization'];
    const line = await fleet.held(instanceId, part === 'connect' && organizationId);
    // The tenant's word and the lease's must agree before anything is sent or read for it.
    if (organizationId && organizationId !== line.organizationId) throw new Refused('unknown_instance', { status: 404 });
    switch (`${request.method} ${part}`) {
      case 'GET ':
        return [200, line.status];
      case 'POST connect':
        await line.connect((await read(request)).phone);
        return [202, line.status];
      case 'POST messages': {
        const accepted = await line.send(await read(request), () => response.destroyed);
        die('before-answer');
        return [200, accepted];
      }
      case 'GET media': {
        // Where files go to and come from: WhatsApp's media hosts, and a pass to put files there.
        const { hosts, auth } = await line.socket.refreshMediaConn();
        return [200, { hosts: hosts.map(({ hostname }) => hostname), auth }];
      }
      case 'POST logout':
        await line.logout();
        return [200, line.status];
      default:
        throw new Refused('not_found', { status: 404 });
    }
  };

  return http.createServer(async (request, response) => {
    const [status, value] = await answer(request, response).catch(failed);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  });
}

function failed(error) {
  if (error instanceof Refused) return [error.status, { error: error.error }];
  write('error', 'request.failed', { reason: error.message });
  return [503, { error: { code: 'unavailable', message: 'the sidecar could not do it; its log says why' } }];
}
