// Prints a flow as Node's FlowProducer.getFlow reads it, as one line of JSON: {name, data, values, ignored, children}.
//
//   node flow.mjs URL package.json PREFIX QUEUE JOB_ID
import { createRequire } from 'node:module';

const [url, packageFile, prefix, queueName, id] = process.argv.slice(2);
const { FlowProducer } = createRequire(packageFile)('bullmq');
const { hostname, port } = new URL(url);

async function plain({ job, children = [] }) {
  return {
    id: job.id, name: job.name, data: job.data, state: await job.getState(),
    values: await job.getChildrenValues(), ignored: await job.getIgnoredChildrenFailures(),
    children: await Promise.all(children.map(plain)),
  };
}

const flows = new FlowProducer({ connection: { host: hostname, port: Number(port) }, prefix });
process.stdout.write(JSON.stringify(await plain(await flows.getFlow({ queueName, id }))));
await flows.close();
