// One JSON object a line on standard output, read by the Python side. Values are ids, codes and counts: no text, no key.

/** @param {'debug'|'info'|'warning'|'error'} level @param {string} event @param {Record<string, unknown>} [fields] */
export function write(level, event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ level, event, ...fields })}\n`);
}

/** Baileys' logger. Its objects may hold stanzas and keys, so only its sentence and an error's message go on. */
export function quietLogger(instanceId) {
  const say = level => (given, sentence) => {
    const note = String(sentence ?? (typeof given === 'string' ? given : '')).slice(0, 200);
    const error = given?.err ?? given?.error;
    write('debug', 'baileys.said', { instance_id: instanceId, about: level, note, reason: error?.message?.slice(0, 200) });
  };
  const silent = () => {};
  const logger = { level: 'warn', trace: silent, debug: silent, info: silent, warn: say('warning'), error: say('error'), fatal: say('error') };
  logger.child = () => logger;
  return logger;
}

// Imported first: libraries write session objects, private keys included, to console.*; none of that may reach a log.
const NOTE = /^[\w .:,'()/-]{0,80}/;
for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace', 'dir', 'table']) {
  // Only the beginning of a literal sentence passes; objects and stacks never do.
  console[name] = (...said) => write('debug', 'library.said', { note: typeof said[0] === 'string' ? NOTE.exec(said[0])[0] : name });
}
