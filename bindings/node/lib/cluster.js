'use strict';
// Code in, output out: sandboxes by the names that container libraries use.

const { ClosedError, SetupError } = require('./errors.js');
const { SandboxPool } = require('./pool.js');
const { Sandbox } = require('./sandbox.js');
const { bytesOf, milliseconds } = require('./settings.js');

// The interpreter, the option that takes code as an argument, and the file that code is put into.
const LANGUAGES = {
  python: { interpreter: 'python3', option: '-c', file: 'main.py' },
  sh: { interpreter: 'sh', option: '-c', file: 'main.sh' },
  node: { interpreter: 'node', option: '-e', file: 'main.js' },
};
const NETWORK_MODES = ['none', 'host'];
const DEFAULT_POOL_SIZE = 4;
const LONGEST_ARGUMENT_BYTES = 128 * 1024 - 1; // MAX_ARG_STRLEN, with its NUL: execve(2)

function oneOf(name, value, allowed) {
  if (!allowed.includes(value)) throw new SetupError(`${name}: ${String(value)} is not one of ${allowed.join(', ')}`);
}

function poolSizeOf(poolSize, prime) {
  if (poolSize !== undefined && !(Number.isInteger(poolSize) && poolSize >= 0)) throw new TypeError('poolSize: 0 or more is expected');
  if (poolSize > 0 && !SandboxPool.isSupported) throw new SetupError('poolSize: this libclawrun has no pools: 0, or leave it out');
  const size = poolSize ?? (SandboxPool.isSupported ? DEFAULT_POOL_SIZE : 0);
  if (size === 0 && Object.keys(prime).length > 0) throw new SetupError('prime: it is for the interpreters of a pool, and there is no pool');
  return size;
}

class SandboxCluster {
  #sandbox;
  #poolSize;
  #prime;
  #pools = new Map(); // by language
  #takesFiles;
  #isClosed = false;

  // What is not named here is a setting.
  constructor({ image = 'host', networkMode = 'none', memLimit, cpuShares, cpus, pidsLimit, poolSize, prime = {}, ...settings } = {}) {
    oneOf('networkMode', networkMode, NETWORK_MODES);
    this.#prime = typeof prime === 'string' ? { python: prime } : prime;
    for (const language of Object.keys(this.#prime)) oneOf('prime', language, Object.keys(LANGUAGES));
    this.#poolSize = poolSizeOf(poolSize, this.#prime);
    this.#sandbox = new Sandbox({ ...settings, rootfs: image, network: networkMode, memory: memLimit, cpuShares, cpus, pids: pidsLimit });
  }

  // From an interpreter that is kept warm, where the library has pools. `options` are `language` and those of Sandbox.run.
  async runCode(code, options = {}) {
    const { pool, command, settings } = this.#forCode(code, options);
    return pool ? pool.runCode(code, settings) : this.#sandbox.run(command, settings);
  }

  async spawnCode(code, options = {}) {
    const { pool, command, settings } = this.#forCode(code, options);
    return pool ? pool.claim(undefined, { ...settings, code }) : this.#sandbox.spawn(command, settings);
  }

  async runCommand(command, options = {}) {
    return this.#sandbox.run(command, this.#settingsOfRun(options));
  }

  async spawnCommand(command, options = {}) {
    return this.#sandbox.spawn(command, this.#settingsOfRun(options));
  }

  #settingsOfRun({ timeoutSeconds, ...settings }) {
    if (this.#isClosed) throw new ClosedError('the cluster has been closed');
    if (timeoutSeconds === undefined) return settings;
    return { ...settings, timeout: milliseconds('timeoutSeconds', timeoutSeconds * 1000) };
  }

  #forCode(code, { language = 'python', ...options }) {
    oneOf('language', language, Object.keys(LANGUAGES));
    const settings = this.#settingsOfRun(options);
    return this.#poolSize > 0 ? { pool: this.#pool(language), settings } : this.#cold(code, language, settings);
  }

  // In a file, so that the interpreter's messages have its lines, whatever size it has.
  #cold(code, language, settings) {
    const { interpreter, option, file } = LANGUAGES[language];
    // The caller's own directory as the work directory takes no files from us.
    this.#takesFiles ??= !this.#sandbox.validate(['true'], { files: { probe: '' } }).some(({ setting }) => setting === 'files');
    if (this.#takesFiles) {
      if (Object.hasOwn(settings.files ?? {}, file)) throw new TypeError(`files: ${file} is where the code goes; give yours another name`);
      return { command: [interpreter, file], settings: { ...settings, files: { ...settings.files, [file]: code } } };
    }
    const text = bytesOf('code', code);
    if (text.length > LONGEST_ARGUMENT_BYTES)
      throw new TypeError(`code of ${text.length} bytes: in a workspace at most ${LONGEST_ARGUMENT_BYTES}; write it to a file there and use runCommand`);
    return { command: [interpreter, option, text.toString()], settings };
  }

  #pool(language) {
    if (!this.#pools.has(language)) {
      const options = { size: this.#poolSize, grade: 'primed', interpreter: LANGUAGES[language].interpreter, prime: this.#prime[language] };
      this.#pools.set(language, new SandboxPool(this.#sandbox, options));
    }
    return this.#pools.get(language);
  }

  // Ends what is kept ready. What runs goes on.
  async close() {
    this.#isClosed = true;
    await Promise.all([...this.#pools.values()].map((pool) => pool.close()));
  }

  async [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]() {
    await this.close();
  }
}

module.exports = { SandboxCluster };
