'use strict';
// A sandbox that runs, or has ended.

const net = require('node:net');
const os = require('node:os');
const tty = require('node:tty');
const { call, callAsync } = require('./addon.js');
const { AbortError, ClosedError, FileError, SetupError } = require('./errors.js');
const { Outcome, Result } = require('./result.js');
const { DEFAULT_MODE, bytesOf } = require('./settings.js');

// CLAWRUN_INHERIT ... CLAWRUN_FD
const [INHERIT, IGNORE, PIPE, CAPTURE, FD] = [0, 1, 2, 3, 4];
const DEFAULT_MAX_BYTES = 64 * 2 ** 20;

const kProcess = Symbol('clawrun.process');
const kRaw = Symbol('clawrun.raw');
const kResult = Symbol('clawrun.result');
const kCapture = Symbol('clawrun.capture'); // into memory, for kResult
const kInternal = Symbol('clawrun.internal');

function streamsOf(stdio) {
  const three = typeof stdio === 'string' ? [stdio, stdio, stdio] : stdio;
  if (!Array.isArray(three) || three.length !== 3) throw new TypeError('stdio: one word, or an array of three');
  return three.map((each, stream) => {
    if (each === 'pipe') return [PIPE, -1];
    if (each === 'ignore') return [IGNORE, -1];
    // Node has marked its own streams close-on-exec. A terminal is copied by the library, and never passed on.
    if (each === 'inherit') return tty.isatty(stream) ? [INHERIT, -1] : [FD, stream];
    if (Number.isInteger(each) && each >= 0) return [FD, each];
    if (each === kCapture) return [CAPTURE, -1];
    throw new TypeError(`stdio: ${String(each)} is not 'pipe', 'ignore', 'inherit' or the number of a descriptor`);
  });
}

function signalNumber(signal) {
  if (Number.isInteger(signal)) return signal;
  const number = os.constants.signals[signal];
  if (number === undefined) throw new TypeError(`${String(signal)} is no name of a signal, such as 'SIGTERM'`);
  return number;
}

// Kept alive by whoever holds it, by an open stream that was asked for, and by who waits for `exited`. Dropped without these, it
// is killed.
class SandboxProcess {
  #handle;
  #raw; // the addon's promise; none of its reactions may hold this object
  #end = { raw: null };
  #outcome = null;
  #exited;
  #streams = [undefined, undefined, undefined];
  #lastFileWork = Promise.resolve();
  #isClosed = false;

  constructor(key, { handle, exited }) {
    if (key !== kInternal) throw new TypeError('a SandboxProcess is made by Sandbox.spawn or SandboxPool.claim');
    this.#handle = handle;
    this.#raw = exited;
    const end = this.#end;
    exited.then((raw) => (end.raw = raw), () => {}); // of a failure knows who asks for `exited`
    this.id = call('id', handle);
  }

  get exited() {
    return (this.#exited ??= this.#awaitEnd());
  }

  async #awaitEnd() {
    await this.#raw;
    return this.outcome;
  }

  // null while it runs.
  get outcome() {
    if (this.#outcome === null && this.#end.raw !== null) this.#outcome = new Outcome(this.#end.raw);
    return this.#outcome;
  }

  get stdin() {
    return this.#stream(0);
  }

  get stdout() {
    return this.#stream(1);
  }

  get stderr() {
    return this.#stream(2);
  }

  // null where it is no pipe.
  #stream(index) {
    if (this.#streams[index] !== undefined) return this.#streams[index];
    const fd = this.#isClosed ? -1 : call('takeStream', this.#handle, index);
    if (fd < 0) return (this.#streams[index] = null);
    const stream = new net.Socket({ fd, readable: index !== 0, writable: index === 0, allowHalfOpen: false });
    stream[kProcess] = this;
    stream.once('close', () => delete stream[kProcess]);
    // A command that stops reading is no failure of the program's; who has listeners is still told of EPIPE.
    if (index === 0) stream.on('error', () => {});
    return (this.#streams[index] = stream);
  }

  // SIGKILL ends all of the sandbox. False: it had ended already.
  kill(signal = 'SIGKILL') {
    const number = signalNumber(signal);
    if (this.#isClosed) return false;
    call('kill', this.#handle, number);
    return this.outcome === null;
  }

  async putFile(path, data, { mode = DEFAULT_MODE } = {}) {
    await this.#fileWork('putFile', path, bytesOf('data', data), mode);
  }

  // A Buffer, or with an encoding a string.
  async getFile(path, { encoding = null, maxBytes = DEFAULT_MAX_BYTES } = {}) {
    if (!Number.isSafeInteger(maxBytes) || maxBytes < 0) throw new TypeError('maxBytes: a whole number is expected');
    const data = await this.#fileWork('getFile', path, maxBytes);
    return encoding === null || encoding === 'buffer' ? data : data.toString(encoding);
  }

  async list(path = '') {
    const entries = JSON.parse(await this.#fileWork('list', path));
    return entries.map(({ name, type, size, mode, mtime_ms: mtimeMs }) => ({ name, type, size, mode, mtimeMs }));
  }

  // One after the other: the library lets one thread at a time use a handle.
  async #fileWork(name, ...args) {
    if (this.#isClosed) throw new ClosedError('the sandbox has been closed, and its files are gone');
    const work = this.#lastFileWork.then(() => callAsync(FileError, name, this.#handle, ...args));
    this.#lastFileWork = work.catch(() => {});
    return work;
  }

  // The event loop goes on while a sandbox runs; not for one that is unref'd.
  ref() {
    call('ref', this.#handle);
    return this;
  }

  unref() {
    call('unref', this.#handle);
    return this;
  }

  // Kills what still runs, and is fulfilled when nothing of it is left. Its streams are destroyed, its files are gone.
  async close() {
    if (!this.#isClosed) {
      this.#isClosed = true;
      for (const stream of this.#streams) stream?.destroy();
      call('kill', this.#handle, os.constants.signals.SIGKILL);
    }
    await this.exited.catch(() => {});
    await this.#lastFileWork;
    call('close', this.#handle);
  }

  get [kRaw]() {
    return this.#raw;
  }

  // What a captured run gave, when it has ended.
  [kResult](encoding) {
    const text = (stream) => {
      const data = call('output', this.#handle, stream);
      return encoding === 'buffer' ? data : data.toString(encoding);
    };
    return new Result(this.#end.raw, text(1), text(2));
  }

  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    await this.close();
  }
}

// `name` and `args` are the addon's call that starts one. An AbortSignal that comes later kills it.
async function start(name, args, stdio, signal) {
  if (signal?.aborted) throw new AbortError(signal);
  const process = new SandboxProcess(kInternal, await callAsync(SetupError, name, ...args, streamsOf(stdio)));
  if (signal === undefined) return process;
  if (signal.aborted) {
    await process.close();
    throw new AbortError(signal);
  }
  const held = new WeakRef(process); // a signal of the whole program's must not keep it alive
  const kill = () => held.deref()?.kill();
  signal.addEventListener('abort', kill, { once: true });
  process[kRaw].catch(() => {}).then(() => signal.removeEventListener('abort', kill));
  return process;
}

module.exports = { SandboxProcess, start, kCapture, kResult };
