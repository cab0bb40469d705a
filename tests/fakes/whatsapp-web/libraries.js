// The sidecar's own packages, of which the fake borrows the codec and the cryptography: what is tested is our driver.
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const modules = process.env.FAKE_NODE_MODULES ?? path.resolve(import.meta.dirname, '../../../sidecar/node_modules');
const load = file => import(pathToFileURL(path.join(modules, file)));

export const baileys = await load('baileys/lib/index.js');
export const senderKeys = await load('baileys/lib/Signal/Group/index.js');
export const libsignal = (await load('libsignal/index.js')).default;
export const { WebSocketServer } = await load('ws/wrapper.mjs');
