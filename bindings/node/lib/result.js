'use strict';
// How a sandbox ended.

const os = require('node:os');
const { NonzeroExitError, OomError, TimeoutError } = require('./errors.js');

const STATUS = ['exited', 'signaled', 'timeout', 'oom']; // CLAWRUN_EXITED ... CLAWRUN_OOM
const SIGNAL_NAMES = new Map(Object.entries(os.constants.signals).map(([name, number]) => [number, name]));

class Outcome {
  #json;
  #report;

  constructor({ status, exitCode, signal, json }) {
    this.#json = json;
    const report = this.report;
    this.status = STATUS[status];
    this.exitCode = exitCode;
    this.signal = signal === 0 ? null : SIGNAL_NAMES.get(signal) ?? `SIG${signal}`;
    this.reason = report.reason ?? '';
    this.wallUs = report.wall_us;
    this.cpuUs = report.cpu_user_us + report.cpu_system_us;
    this.memoryPeakBytes = report.memory_peak_bytes;
    this.stdoutLostBytes = report.stdout_lost_bytes ?? 0;
    this.stderrLostBytes = report.stderr_lost_bytes ?? 0;
  }

  get ok() {
    return this.status === 'exited' && this.exitCode === 0;
  }

  get truncated() {
    return this.stdoutLostBytes + this.stderrLostBytes > 0;
  }

  get report() {
    return (this.#report ??= JSON.parse(this.#json));
  }

  // Throws where a limit ended the command.
  checkLimits() {
    const { limits } = this.report;
    if (this.status === 'timeout') throw new TimeoutError(`the command was ended at its time limit of ${limits.timeout_ms} ms`, this);
    if (this.status === 'oom') {
      const why = limits.memory_bytes ? `it used up its memory of ${limits.memory_bytes} bytes` : 'the host ran out of memory';
      throw new OomError(`the kernel killed the command: ${why}`, this);
    }
    return this;
  }

  // Throws where the command did not exit with 0.
  check() {
    this.checkLimits();
    if (this.ok) return this;
    const how = this.status === 'exited' ? `exited with ${this.exitCode}` : `was ended by ${this.signal}`;
    const last = this.stderr === undefined ? '' : this.stderr.slice(-2000).toString().trimEnd().split('\n').pop();
    throw new NonzeroExitError(`the command ${how}${last ? `: ${last}` : ''}`, this);
  }
}

// With what was written.
class Result extends Outcome {
  constructor(raw, stdout, stderr) {
    super(raw);
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

module.exports = { Outcome, Result };
