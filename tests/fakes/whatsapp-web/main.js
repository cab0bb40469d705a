// Starts the fake, says where it is, and ends with whoever started it.
import { FakeWhatsApp } from './server.js';

// libsignal tells its sessions to the console.
for (const name of ['log', 'info', 'warn', 'error']) console[name] = () => {};

const server = new FakeWhatsApp();
const url = await server.listen(Number(process.env.PORT ?? 0));
process.stdout.write(`${JSON.stringify({ url, wa: `${url.replace('http', 'ws')}/ws/chat`, root: server.root.toString('hex') })}\n`);
process.stdin.on('end', () => process.exit(0)).resume();
