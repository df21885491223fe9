'use strict';
// From the start of a command to its result, with its input and its output in memory.

const { Readable, pipeline } = require('node:stream');
const { AbortError } = require('./errors.js');
const { kCapture, kResult, start } = require('./process.js');
const { bytesOf } = require('./settings.js');

const isStream = (input) => typeof input?.[Symbol.asyncIterator] === 'function';

// Writes the input, and calls `fail` where the input itself breaks. A command that does not read all of it is no failure.
function feed(stdin, input, fail) {
  if (!isStream(input)) {
    stdin.end(input);
    return;
  }
  const source = input instanceof Readable ? input : Readable.from(input);
  // Of a source that ends because stdin has ended, nobody wants to know.
  const failed = (error) => stdin.destroyed || fail(error);
  source.once('error', failed);
  source.once('close', () => source.readableEnded || failed(source.errored ?? new Error('the input was closed before its end')));
  pipeline(source, stdin, (error) => {
    if (error && !stdin.errored) failed(error);
  });
}

// `name` and `args` are the addon's call that starts one.
async function run(name, args, { input, encoding = 'utf8', check = false, signal } = {}) {
  if (encoding !== 'buffer' && !Buffer.isEncoding(encoding)) throw new TypeError(`encoding: ${String(encoding)} is none`);
  const data = input === undefined || input === null || isStream(input) ? input : bytesOf('input', input);
  const hasInput = data !== undefined && data !== null;
  const process = await start(name, args, [hasInput ? 'pipe' : 'ignore', kCapture, kCapture], signal);
  try {
    let broken = null;
    const fail = (error) => {
      broken ??= { error };
      process.kill();
    };
    if (hasInput) feed(process.stdin, data, fail);
    const outcome = await process.exited;
    if (broken) throw broken.error;
    if (signal?.aborted && outcome.status === 'signaled') throw new AbortError(signal);
    const result = process[kResult](encoding);
    return check ? result.check() : result.checkLimits();
  } finally {
    await process.close();
  }
}

module.exports = { run };
