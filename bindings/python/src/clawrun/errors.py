"""What can go wrong, as exceptions."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .types import Result


class ClawrunError(Exception):
    """The base of everything that this package raises by itself."""


class LibraryError(ClawrunError):
    """libclawrun is not to be found, or is not the version that this package needs."""


class ClosedError(ClawrunError):
    """A handle was used that has been closed, or that belongs to the process which this one was forked from."""


class SetupError(ClawrunError):
    """The command was never run: a bad setting, a missing command, or something that this host cannot give."""

    def __init__(self, message: str, exit_code: int = 125, errno: int = 0) -> None:
        super().__init__(message)
        self.exit_code = exit_code  #: what `clawrun exec` would have returned: 125, 126 or 127
        self.errno = errno  #: of the system call that failed, or 0


class FileError(SetupError):
    """A file of the work directory could not be read, written or listed; `errno` has the reason where there is one."""


class StillRunning(ClawrunError, TimeoutError):
    """`Process.wait(timeout)` was over before the sandbox was. It goes on."""


class OutcomeError(ClawrunError):
    """The command ran, and ended in a way that the caller does not want."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result  #: how it ended, with what it had written until then

    def __reduce__(self) -> Any:
        return type(self), (str(self), self.result)


class SandboxTimeout(OutcomeError, TimeoutError):
    """The command was ended at its time limit."""


class SandboxOOM(OutcomeError):
    """The kernel ended the command for want of memory."""


class NonzeroExit(OutcomeError):
    """The command failed by itself or by a signal, and `check` was asked for."""
