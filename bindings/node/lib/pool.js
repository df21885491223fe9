'use strict';
// Sandboxes that are kept ready. Each serves one claim.

const { call, callAsync } = require('./addon.js');
const { ClosedError, SetupError } = require('./errors.js');
const { start } = require('./process.js');
const { run } = require('./run.js');
const { Sandbox } = require('./sandbox.js');
const { bytesOf, commandStep, steps } = require('./settings.js');

const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

class SandboxPool {
  #sandbox;
  #options;
  #opening = null;
  #isClosed = false;

  // A Sandbox, or the settings of one; `options`: size, grade, interpreter, prime, whenEmpty, waitMs, workspace, shrink.
  constructor(sandbox = {}, options = {}) {
    this.#sandbox = sandbox instanceof Sandbox ? sandbox : new Sandbox(sandbox);
    this.#options = steps(options);
  }

  static get isSupported() {
    return call('hasPools');
  }

  // Begins to fill it. The first use does so too.
  async open() {
    await this.#handle();
    return this;
  }

  #handle() {
    if (this.#isClosed) return Promise.reject(new ClosedError('the pool has been closed'));
    return (this.#opening ??= callAsync(SetupError, 'openPool', Sandbox.specOf(this.#sandbox), this.#options));
  }

  // Of a parked pool.
  async run(command, { input, encoding, check, signal, ...settings } = {}) {
    const claim = [...steps(settings), ...(command === undefined ? [] : [commandStep(command)])];
    return run('claim', [await this.#handle(), claim], { input, encoding, check, signal });
  }

  // Of a primed pool.
  async runCode(code, { input, encoding, check, signal, ...settings } = {}) {
    const claim = [...steps(settings), ['code', bytesOf('code', code)]];
    return run('claim', [await this.#handle(), claim], { input, encoding, check, signal });
  }

  // A SandboxProcess. `command` is of a parked pool, the option `code` of a primed one.
  async claim(command, { stdio = 'pipe', signal, code, ...settings } = {}) {
    const claim = steps(settings);
    if (command !== undefined) claim.push(commandStep(command));
    if (code !== undefined) claim.push(['code', bytesOf('code', code)]);
    return start('claim', [await this.#handle(), claim], stdio, signal);
  }

  // Whether so many became ready within that time; without one it waits for as long as it takes.
  async waitReady(count, timeoutMs = -1) {
    return callAsync(SetupError, 'waitReady', await this.#handle(), count, timeoutMs);
  }

  async resize(size) {
    await callAsync(SetupError, 'resizePool', await this.#handle(), size);
  }

  async stats() {
    const counts = JSON.parse(call('poolStats', await this.#handle()));
    return Object.fromEntries(Object.entries(counts).map(([name, value]) => [camel(name), value]));
  }

  // In the text format of Prometheus, with `name` as the label pool.
  async prometheus(name) {
    return call('poolPrometheus', await this.#handle(), name);
  }

  // Fulfilled when what was ready has ended. What was claimed goes on.
  async close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const handle = await this.#opening?.catch(() => null);
    if (handle) await callAsync(SetupError, 'closePool', handle);
  }

  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    await this.close();
  }
}

module.exports = { SandboxPool };
