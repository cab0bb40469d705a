import assert from 'node:assert/strict';
import test from 'node:test';

import { server } from '../src/server.js';

const TENANT = 'a-tenant';

test('nothing is told or done without the token, nor for another tenant than the one that holds the number', async t => {
  const asked = [];
  const held = async instanceId => {
    asked.push(instanceId);
    return { organizationId: TENANT, status: { state: 'open' } };
  };
  const control = server({ size: 1, held }, { token: 'the-token', die: () => {} });
  await new Promise(resolve => control.listen(0, '127.0.0.1', resolve));
  t.after(() => control.close());
  const ask = (path, headers) => globalThis.fetch(`http://127.0.0.1:${control.address().port}${path}`, { headers });

  for (const authorization of [undefined, 'Bearer ', 'Bearer the-toke', 'Bearer the-token2', 'the-token']) {
    const headers = authorization === undefined ? {} : { authorization };
    for (const path of ['/health', '/instances/sales', '/nothing']) assert.equal((await ask(path, headers)).status, 401);
  }
  assert.deepEqual(asked, []);

  const authorization = 'Bearer the-token';
  assert.equal((await ask('/health', { authorization })).status, 200);
  assert.equal((await ask('/instances/sales', { authorization, 'x-organization': 'another' })).status, 404);
  assert.deepEqual(await (await ask('/instances/sales', { authorization, 'x-organization': TENANT })).json(), { state: 'open' });
});
