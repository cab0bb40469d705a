// The genuine Bull Board: `board.mjs <redis url with database> <prefix> <package.json> <queue>...`; says its port.
import { createRequire } from 'node:module';

const [url, prefix, packageFile, ...names] = process.argv.slice(2);
const require = createRequire(packageFile);
const { Queue } = require('bullmq');
const { createBullBoard } = require('@bull-board/api');
const { BullMQAdapter } = require('@bull-board/api/bullMQAdapter');
const { ExpressAdapter } = require('@bull-board/express');
const express = require('express');

const { hostname, port, pathname } = new URL(url);
const connection = { host: hostname, port: Number(port), db: Number(pathname.slice(1)), maxRetriesPerRequest: null };

const serverAdapter = new ExpressAdapter();
serverAdapter.setBasePath('/admin/queues');
createBullBoard({
  queues: names.map(name => new BullMQAdapter(new Queue(name, { connection, prefix }))),
  serverAdapter,
  options: { validateResponses: true },
});
const app = express();
app.use('/admin/queues', serverAdapter.getRouter());
const server = app.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
process.stdin.on('end', () => process.exit(0)).resume();
