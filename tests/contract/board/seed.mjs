// Fills three queues with jobs in every state, as Node leaves them: `seed.mjs <redis url> <prefix> <package.json>`.
import { createRequire } from 'node:module';

const [url, prefix, packageFile] = process.argv.slice(2);
const { FlowProducer, MetricsTime, Queue, UnrecoverableError, Worker } = createRequire(packageFile)('bullmq');
const { hostname, port, pathname } = new URL(url);
const connection = { host: hostname, port: Number(port), db: Number(pathname.slice(1)), maxRetriesPerRequest: null };
const HOUR = 3_600_000;

const queues = {};
for (const name of ['orders', 'mail', 'empty']) queues[name] = new Queue(name, { connection, prefix });
const { orders, mail, empty } = queues;

async function work(queue, count, handler) {
  const worker = new Worker(queue.name, handler, {
    connection, prefix, concurrency: 1, name: 'seeder', metrics: { maxDataPoints: MetricsTime.ONE_WEEK },
  });
  let done = 0;
  await new Promise(resolve => {
    const one = () => { if (++done === count) resolve(); };
    worker.on('completed', one).on('failed', one);
  });
  await worker.close();
}

// Finished jobs: plain, with an id that holds a slash, with a priority, with logs and progress.
await orders.addBulk(Array.from({ length: 24 }, (_, i) => ({
  name: 'send',
  data: { i, to: `+5511${i}` },
  opts: { attempts: 1, ...(i === 5 ? { jobId: 'wamid.A/B==' } : {}), ...(i === 6 ? { priority: 3 } : {}) },
})));
await work(orders, 24, async job => {
  await job.log(`start ${job.data.i}`);
  await job.log('sent');
  await job.updateProgress(job.data.i % 2 ? { sent: 1 } : 50);
  if (job.data.i === 7) throw new UnrecoverableError('never');
  if (job.data.i % 6 === 0) throw new Error(`Provider ${job.data.i}`);
  return { ok: true, mid: `m${job.data.i}` };
});

await orders.addBulk(Array.from({ length: 13 }, (_, i) => ({
  name: 'later', data: { i }, opts: { delay: HOUR + i * 1_000, jobId: `later-${i}` },
})));
await orders.addBulk(Array.from({ length: 11 }, (_, i) => ({
  name: 'waits', data: { i }, opts: { attempts: 3, backoff: { type: 'exponential', delay: 1_000 }, keepLogs: 5 },
})));
await orders.addBulk([1, 2, 3].map(i => ({ name: 'vip', data: { i }, opts: { priority: i, lifo: i === 2 } })));
await orders.add('once', {}, { deduplication: { id: 'd1', ttl: HOUR }, delay: HOUR, jobId: 'deduplicated' });
await orders.add('odd', 'text', { jobId: 'text' });
await orders.add('none', undefined, { jobId: 'none' });

await mail.upsertJobScheduler('every', { every: HOUR }, { name: 'beat', data: { x: 1 }, opts: { attempts: 2 } });
await mail.upsertJobScheduler('nightly', { pattern: '0 3 * * *', tz: 'America/Sao_Paulo', limit: 9 }, { name: 'report' });
await work(mail, 1, async () => 'beaten'); // the first of `every` is due at once; its successor waits
await mail.pause();
await mail.setGlobalConcurrency(5);
await mail.setGlobalRateLimit(10, 1_000);
await mail.add('waits', {}, { jobId: 'mail-1' });

// A family: one child done, one failed but overlooked, one failed for good, two to do, a grandchild.
const flows = new FlowProducer({ connection, prefix });
const child = (name, queueName, opts = {}, children = []) =>
  ({ name, queueName, data: {}, opts: { jobId: name, ...opts }, children });
await flows.add(child('parent', 'orders', {}, [
  child('done', 'empty'),
  child('ignored', 'empty', { ignoreDependencyOnFailure: true }),
  child('todo', 'mail'),
  child('middle', 'orders', {}, [child('grandchild', 'mail')]),
]));
await flows.add(child('lone', 'orders', {}, [child('goes', 'empty', { failParentOnFailure: true })]));
await work(empty, 3, async job => {
  if (job.name !== 'done') throw new Error(`${job.name} broke`);
  return { value: 1 };
});

// A job at work, its lock held for an hour.
const holder = new Worker('orders', undefined, { connection, prefix, lockDuration: HOUR });
await holder.getNextJob('held');
await holder.close(true);

for (const queue of Object.values(queues)) await queue.close();
process.exit(0);
