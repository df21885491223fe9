'use strict';
// What a sandbox is to be; each run is a new one.

const { call } = require('./addon.js');
const { start } = require('./process.js');
const { run } = require('./run.js');
const { commandStep, steps } = require('./settings.js');

class Sandbox {
  #spec;

  constructor(settings = {}) {
    this.#spec = call('makeSpec', null, steps(settings));
  }

  #specFor(command, settings) {
    const list = steps(settings);
    if (command !== undefined) list.push(commandStep(command));
    return list.length === 0 ? this.#spec : call('makeSpec', this.#spec, list);
  }

  // Everything in `options` that is not named here is a setting of this run.
  async run(command, { input, encoding, check, signal, ...settings } = {}) {
    return run('spawn', [this.#specFor(command, settings)], { input, encoding, check, signal });
  }

  async spawn(command, { stdio = 'pipe', signal, ...settings } = {}) {
    return start('spawn', [this.#specFor(command, settings)], stdio, signal);
  }

  // [{setting, message}] of everything that is wrong; empty where nothing is.
  validate(command, settings) {
    return JSON.parse(call('validate', this.#specFor(command, settings)));
  }

  // What `run` would do now.
  plan(command, settings) {
    return JSON.parse(call('plan', this.#specFor(command, settings)));
  }

  // For SandboxPool.
  static specOf(sandbox) {
    return sandbox.#spec;
  }
}

module.exports = { Sandbox };
