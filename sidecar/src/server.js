// The control side: HTTP with a token. Every answer is JSON, and events are server-sent.
import crypto from 'node:crypto';
import http from 'node:http';

import { Elsewhere, Unknown } from './fleet.js';
import { write } from './log.js';
import { Refused } from './refusals.js';
import { InDoubt } from './sending.js';

const LONGEST_BODY = 64 * 1024;
const PATH = /^\/instances\/([a-z0-9-]{1,40})(?:\/(connect|events|messages|logout))?$/;
const WIRE_ID = /^3EB0[0-9A-F]{18}$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const E164 = /^\+[1-9]\d{6,14}$/;

class BadRequest extends Error {}

/** @param {import('./fleet.js').Fleet} fleet @param {{token: string, die: (at: string) => void}} options */
export function server(fleet, { token, die }) {
  const expected = digest(`Bearer ${token}`);

  const answer = async (request, response) => {
    if (!crypto.timingSafeEqual(digest(request.headers.authorization ?? ''), expected)) return json(response, 401, failure('unauthorized', 'no or another token'));
    if (request.url === '/health') return json(response, 200, { status: 'ok', numbers: fleet.size });
    const [, instanceId, part] = PATH.exec(request.url) ?? [];
    switch (instanceId && `${request.method} ${part ?? ''}`.trim()) {
      case 'GET':
        return json(response, 200, shown((await fleet.held(instanceId)).status));
      case 'GET events':
        return events(request, response, await fleet.held(instanceId));
      case 'POST connect': {
        const { organization_id: organizationId, phone } = await body(request);
        need(UUID.test(organizationId ?? ''), 'organization_id: give a UUID');
        need(phone === undefined || E164.test(phone), 'phone: give + and 7 to 15 digits');
        const line = await fleet.enrolled(organizationId, instanceId);
        await line.connect(phone);
        return json(response, 202, shown(line.status));
      }
      case 'POST messages': {
        const { organization_id: organizationId, id, to, content } = await body(request);
        need(WIRE_ID.test(id ?? ''), 'id: give 3EB0 and 18 hexadecimal digits in capitals');
        need(E164.test(to ?? ''), 'to: give + and 7 to 15 digits');
        need(content?.type === 'text' && typeof content.text === 'string' && content.text, 'content: give {"type": "text", "text": "…"}');
        const line = await fleet.held(instanceId);
        if (line.organizationId !== organizationId) throw new Unknown(instanceId);
        const accepted = await line.send({ id, to, text: content.text }, gone(response));
        die('before-answer');
        return json(response, 200, accepted);
      }
      case 'POST logout': {
        const line = await fleet.held(instanceId);
        await line.logout();
        return json(response, 200, shown(line.status));
      }
      default:
        return json(response, 404, failure('not_found', 'no such address'));
    }
  };

  return http.createServer((request, response) => {
    answer(request, response).catch(error => {
      if (response.headersSent) response.destroy();
      else json(response, ...failed(error));
    });
  });
}

function failed(error) {
  if (error instanceof Refused) return [409, { error: error.refusal }];
  if (error instanceof InDoubt) return [504, failure('in_doubt', error.message)];
  if (error instanceof Elsewhere) return [421, { error: { code: 'elsewhere', message: error.message, owner: error.owner } }];
  if (error instanceof Unknown) return [404, failure('unknown_instance', error.message)];
  if (error instanceof BadRequest) return [422, failure('invalid', error.message)];
  write('error', 'request.failed', { reason: error.message });
  return [503, failure('unavailable', 'the sidecar could not do it; its log says why')];
}

/** One `status` event now and after each change, and a comment every 15 s so that a dead listener is noticed. */
function events(request, response, line) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const tell = () => response.write(`event: status\ndata: ${JSON.stringify(shown(line.status))}\n\n`);
  const beat = setInterval(() => response.write(': still here\n\n'), 15_000);
  const end = () => {
    clearInterval(beat);
    line.off('change', tell);
    response.end();
  };
  line.on('change', tell);
  line.once('lost', end);
  request.on('close', end);
  tell();
}

function shown({ retryAt, ...status }) {
  return { ...status, retry_at: retryAt ? new Date(retryAt).toISOString() : null };
}

function gone(response) {
  const controller = new AbortController();
  response.on('close', () => controller.abort());
  return controller.signal;
}

async function body(request) {
  const parts = [];
  let bytes = 0;
  for await (const part of request) {
    bytes += part.length;
    need(bytes <= LONGEST_BODY, `body: give at most ${LONGEST_BODY} bytes`);
    parts.push(part);
  }
  try {
    const read = JSON.parse(Buffer.concat(parts).toString() || '{}');
    need(read && typeof read === 'object', 'body: give a JSON object');
    return read;
  } catch (error) {
    throw error instanceof BadRequest ? error : new BadRequest('body: give JSON');
  }
}

function need(holds, otherwise) {
  if (!holds) throw new BadRequest(otherwise);
}

const failure = (code, message) => ({ error: { code, message } });
const digest = text => crypto.createHash('sha256').update(text).digest();

function json(response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}
