// The Node side of the contract tests: one JSON request per line on stdin, one JSON answer per line on stdout.
//
//   {"id": 1, "op": "add", ...}            ->  {"id": 1, "result": ...}  or  {"id": 1, "error": {name, message}}
//   workers and event listeners also say   ->  {"stream": handle, ...} whenever something happens
//
// Only bullmq's public API is used. Nothing but answers may be written to stdout.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

// node_modules lives in a cache folder, not beside this file: see ../installation.py.
const [url, packageFile] = process.argv.slice(2);
const { DelayedError, FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } =
  createRequire(packageFile)('bullmq');

const { hostname, port } = new URL(url);
const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null };

const queues = new Map();
const workers = new Map();
const listeners = new Map();

// Without the replacer, JSON would drop what is undefined, and the reader could not tell absent from unknown.
const say = message =>
  process.stdout.write(`${JSON.stringify(message, (_, item) => (item === undefined ? null : item))}\n`);

function queueOf({ queue, prefix, options }) {
  const key = `${prefix}:${queue}`;
  if (!queues.has(key)) {
    queues.set(key, new Queue(queue, { connection, prefix, ...options }));
  }
  return queues.get(key);
}

async function jobOf(request) {
  const job = await queueOf(request).getJob(request.jobId);
  if (!job) throw new Error(`no job ${request.jobId}`);
  return job;
}

// What bullmq itself parsed out of the job's hash.
function plain(job) {
  return {
    id: job.id, name: job.name, data: job.data, opts: job.opts, progress: job.progress, delay: job.delay,
    priority: job.priority, attemptsMade: job.attemptsMade, attemptsStarted: job.attemptsStarted,
    stalledCounter: job.stalledCounter, finishedOn: job.finishedOn, processedOn: job.processedOn,
    processedBy: job.processedBy, timestamp: job.timestamp, failedReason: job.failedReason,
    stacktrace: job.stacktrace, returnvalue: job.returnvalue, repeatJobKey: job.repeatJobKey,
    deferredFailure: job.deferredFailure, parentKey: job.parentKey,
  };
}

function value(result) {
  if (Array.isArray(result)) return result.map(value);
  return typeof result?.asJSON === 'function' ? plain(result) : result ?? null;
}

// A handler that follows a script chosen by the job's name, "*" for all others; see Script in ../sides.py.
function scripted(handle, state, scripts) {
  return async (job, token) => {
    const script = scripts[job.name] ?? scripts['*'] ?? {};
    say({ stream: handle, run: job.id, name: job.name, attempt: job.attemptsMade + 1, started: job.attemptsStarted });
    if (script.hold) await state.released;
    for (const line of script.logs ?? []) await job.log(line);
    for (const progress of script.progress ?? []) await job.updateProgress(progress);
    if (script.limit_ms && job.attemptsStarted === 1) {
      await state.worker.rateLimit(script.limit_ms);
      throw Worker.RateLimitError();
    }
    if (script.snooze_ms && job.attemptsStarted === 1) {
      await job.moveToDelayed(Date.now() + script.snooze_ms, token);
      throw new DelayedError();
    }
    if (script.unrecoverable) throw new UnrecoverableError(script.unrecoverable);
    if (job.attemptsMade < (script.fail_times ?? 0)) throw new Error(script.fail);
    if (script.children) return Object.values(await job.getChildrenValues());
    return script.echo ? { data: job.data } : script.value;
  };
}

function startWorker({ handle, queue, prefix, scripts, options }) {
  const state = {};
  state.released = new Promise(resolve => { state.release = resolve; });
  state.worker = new Worker(queue, scripted(handle, state, scripts), { connection, prefix, ...options });
  state.worker.on('error', error => say({ stream: handle, error: String(error) }));
  workers.set(handle, state);
  return state.worker.waitUntilReady();
}

async function listen({ handle, queue, prefix }) {
  const events = new QueueEvents(queue, { connection, prefix, lastEventId: '0-0' });
  const emit = events.emit.bind(events);
  events.emit = (name, fields, id) => {
    // Each event is emitted twice, once as `name:jobId`; 'ready' and the like have no place in the stream.
    if (name === 'drained') say({ stream: handle, event: name, fields: {}, at: fields });
    else if (typeof id === 'string' && !name.includes(':')) say({ stream: handle, event: name, fields, at: id });
    return emit(name, fields, id);
  };
  events.on('error', error => say({ stream: handle, error: String(error) }));
  listeners.set(handle, events);
  await events.waitUntilReady();
}

const ops = {
  ping: () => process.version,
  open: async r => { await queueOf(r).getVersion(); },
  add: async r => (await queueOf(r).add(r.name, r.data, r.opts)).id,
  addBulk: async r => (await queueOf(r).addBulk(r.jobs)).map(job => job.id),
  getJob: async r => value(await queueOf(r).getJob(r.jobId)),
  queue: async r => value(await queueOf(r)[r.method](...r.args)),
  job: async r => value(await (await jobOf(r))[r.method](...r.args)),
  waitUntilFinished: async r => (await jobOf(r)).waitUntilFinished(listeners.get(r.handle), r.ttl),
  flow: async r => {
    const flows = new FlowProducer({ connection, prefix: r.prefix });
    const tree = await flows.add(r.tree);
    await flows.close();
    return { id: tree.job.id, children: (tree.children ?? []).map(child => child.job.id) };
  },
  worker: startWorker,
  workerRelease: r => workers.get(r.handle).release(),
  workerStop: async r => {
    await workers.get(r.handle).worker.close(r.force);
    workers.delete(r.handle);
  },
  events: listen,
  close: async () => {
    for (const state of workers.values()) await state.worker.close(true);
    for (const events of listeners.values()) await events.close();
    for (const queue of queues.values()) await queue.close();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  // Not awaited: a request that waits must not hold up those behind it.
  Promise.resolve()
    .then(() => ops[request.op](request))
    .then(result => say({ id: request.id, result: result ?? null }))
    .catch(error => say({ id: request.id, error: { name: error.name, message: error.message } }))
    .finally(() => { if (request.op === 'close') process.exit(0); });
}
process.exit(0);
