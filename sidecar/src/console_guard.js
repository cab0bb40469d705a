// Imported first: libraries write session objects, private keys included, to console.*; none of that may reach a log.
import { write } from './log.js';

const NOTE = /^[\w .:,'()/-]{0,80}/;

for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table']) {
  // Only the beginning of a literal sentence passes; objects and stacks never do.
  console[name] = (...said) => write('debug', 'library.said', { note: typeof said[0] === 'string' ? NOTE.exec(said[0])[0] : name });
}
