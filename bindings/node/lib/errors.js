'use strict';
// What can go wrong, as classes.

const { getSystemErrorName } = require('node:util');

class ClawrunError extends Error {
  get name() {
    return this.constructor.name;
  }
}

// clawrun.node or libclawrun is not there, or is not the version that this package needs.
class LibraryError extends ClawrunError {}

// A handle was used that has been closed.
class ClosedError extends ClawrunError {}

// The command was never run: a bad setting, a missing command, or something that this host cannot give.
class SetupError extends ClawrunError {
  constructor(message, { exitCode = 125, errno = 0, ...options } = {}) {
    super(message, options);
    this.exitCode = exitCode; // what `clawrun exec` would have returned: 125, 126 or 127
    this.errno = errno; // of the system call that failed, or 0
    if (errno > 0) this.code = getSystemErrorName(-errno);
  }
}

// A file of the work directory could not be read, written or listed.
class FileError extends SetupError {}

// The command ran, and ended in a way that the caller does not want.
class OutcomeError extends ClawrunError {
  constructor(message, result) {
    super(message);
    this.result = result; // how it ended, with what it had written until then
  }
}

class TimeoutError extends OutcomeError {}
class OomError extends OutcomeError {}
class NonzeroExitError extends OutcomeError {}

// The caller's AbortSignal ended it; `cause` is the signal's reason.
class AbortError extends ClawrunError {
  constructor(signal) {
    super('the sandbox was ended by its AbortSignal', { cause: signal.reason });
    this.code = 'ABORT_ERR';
  }
}

module.exports = {
  ClawrunError,
  LibraryError,
  ClosedError,
  SetupError,
  FileError,
  OutcomeError,
  TimeoutError,
  OomError,
  NonzeroExitError,
  AbortError,
};
