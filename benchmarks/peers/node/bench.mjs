// npm bullmq behind the command line of ../../driver.py: one operation, one line of JSON.
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

// The libraries are installed in the bench's own folder, not beside this file.
const load = createRequire(`${process.env.BENCH_ENVIRONMENT}/package.json`);
const { Queue, Worker } = load("bullmq");

const BULK = 1000;
const IDLE_WARM_UP = 3;
const IDLE_WITHIN_MS = 30_000;

const payload = (index) => ({
  i: index,
  organizationId: "o1",
  to: "+5511999999999",
  text: "Hello, your order is ready.",
});
const payloads = (count) => Array.from({ length: count }, (_, index) => payload(index));
const nowMs = () => performance.now();
const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const rate = (jobs, ms, cpu) => ({
  jobs,
  seconds: ms / 1000,
  per_s: ms > 0 ? Math.round((jobs / ms) * 10_000) / 10 : 0,
  client_cpu_s: cpu,
});
const percentile = (samples, share) => {
  const ranked = [...samples].sort((a, b) => a - b);
  return ranked[Math.min(ranked.length - 1, Math.max(0, Math.ceil(ranked.length * share) - 1))];
};

async function addOne(queue, jobs) {
  const todo = payloads(jobs);
  const started = nowMs();
  const cpu = cpuSeconds();
  for (const data of todo) await queue.add("send", data);
  return rate(jobs, nowMs() - started, cpuSeconds() - cpu);
}

async function addBulk(queue, jobs) {
  const todo = payloads(jobs);
  const started = nowMs();
  const cpu = cpuSeconds();
  for (let start = 0; start < jobs; start += BULK) {
    await queue.addBulk(todo.slice(start, start + BULK).map((data) => ({ name: "send", data })));
  }
  return { ...rate(jobs, nowMs() - started, cpuSeconds() - cpu), bulk_api: "addBulk" };
}

async function processAll(queue, connection, jobs, { concurrency, handlerMs }) {
  const runs = new Map();
  let ran = 0;
  let firstAt;
  let firstCpu;
  let allRan;
  const done = new Promise((resolve) => (allRan = resolve));
  const begin = (index) => {
    if (firstAt === undefined) {
      firstAt = nowMs();
      firstCpu = cpuSeconds();
    }
    runs.set(index, (runs.get(index) ?? 0) + 1);
    ran += 1;
    if (ran >= jobs) allRan();
  };
  const handler = handlerMs
    ? async (job) => {
        begin(job.data.i);
        await sleep(handlerMs);
      }
    : async (job) => begin(job.data.i);
  const timeoutMs = 60_000 + jobs * 20;
  const worker = new Worker("bench", handler, { connection, concurrency });
  await Promise.race([done, sleep(timeoutMs, undefined, { ref: false })]);
  if (ran >= jobs) await settled(queue, timeoutMs);
  const ended = nowMs();
  const cpu = cpuSeconds();
  await worker.close();
  let delivered = 0;
  let duplicates = 0;
  let unexpected = 0;
  for (const [index, count] of runs) {
    if (index >= 0 && index < jobs) delivered += 1;
    else unexpected += 1;
    duplicates += count - 1;
  }
  const missing = jobs - delivered;
  return {
    ...rate(delivered, ended - (firstAt ?? ended), cpu - (firstCpu ?? cpu)),
    concurrency,
    handler_ms: handlerMs,
    delivered,
    missing,
    duplicates,
    unexpected,
    exact: missing + duplicates + unexpected === 0,
  };
}

async function settled(queue, withinMs) {
  const deadline = nowMs() + withinMs;
  for (;;) {
    const { waiting, active } = await queue.getJobCounts("waiting", "active");
    if (waiting + active === 0) return;
    if (nowMs() > deadline) throw new Error(`${waiting + active} jobs unfinished ${withinMs} ms after the last one ran`);
    await sleep(1);
  }
}

async function idle(queue, connection, samples) {
  const total = samples + IDLE_WARM_UP;
  const taken = [];
  const runs = [];
  let startedAt;
  let ran;
  const worker = new Worker(
    "bench",
    async (job) => {
      startedAt = nowMs();
      runs.push(job.data.i);
      ran();
    },
    { connection, concurrency: 1 },
  );
  for (let index = 0; index < total; index += 1) {
    await sleep(5 + Math.random() * 10);
    const started = new Promise((resolve) => (ran = resolve));
    const timer = setTimeout(() => {
      console.error(`job ${index} did not start within ${IDLE_WITHIN_MS} ms`);
      process.exit(1);
    }, IDLE_WITHIN_MS);
    const before = nowMs();
    await queue.add("send", payload(index));
    await started;
    clearTimeout(timer);
    taken.push(startedAt - before);
  }
  await settled(queue, IDLE_WITHIN_MS);
  await worker.close();
  const kept = taken.slice(IDLE_WARM_UP);
  runs.sort((a, b) => a - b);
  return {
    jobs: samples,
    samples_ms: kept,
    p50_ms: percentile(kept, 0.5),
    p99_ms: percentile(kept, 0.99),
    exact: runs.length === total && runs.every((value, index) => value === index),
  };
}

const [operation, count, ...rest] = process.argv.slice(2);
const given = {};
for (let at = 0; at < rest.length; at += 2) given[rest[at]] = rest[at + 1];
const { hostname, port } = new URL(given["--redis"]);
const connection = { host: hostname, port: Number(port) };
const jobs = Number(count);
const queue = new Queue("bench", { connection });
const operations = {
  "add-one": () => addOne(queue, jobs),
  "add-bulk": () => addBulk(queue, jobs),
  process: () =>
    processAll(queue, connection, jobs, {
      concurrency: Number(given["--concurrency"] ?? 1),
      handlerMs: Number(given["--handler-ms"] ?? 0),
    }),
  idle: () => idle(queue, connection, jobs),
};
await queue.waitUntilReady();
const answer = await operations[operation]();
await queue.close();
console.log(JSON.stringify({ op: operation, ...answer }));
process.exit(0);
