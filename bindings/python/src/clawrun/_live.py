"""clawrun_sandbox with what Python needs around it: a lock, an owner, and an end when nobody refers to it any more."""

from __future__ import annotations

import os
import select
import weakref
from _thread import allocate_lock

from ._abi import Stream, checked, library
from ._abi import CAPTURE as MODE_CAPTURE, FD as MODE_FD, INHERIT as MODE_INHERIT, NULL as MODE_NULL, PIPE as MODE_PIPE
from .errors import ClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import RLock
    from typing import Any, Callable, Optional, Tuple
else:
    from _thread import RLock  # the same; without the module threading, which takes longer to import than a sandbox to start

SIGKILL, SIGTERM = 9, 15  # without the module signal, for the same reason

# Where a standard stream leads. The first two have the values of the module subprocess.
PIPE = -1  #: a pipe: Process.stdin, stdout, stderr
DEVNULL = -3
CAPTURE = -4  #: output only: kept in memory for the Result
INHERIT = -5  #: this process's own

_MODES = {PIPE: MODE_PIPE, DEVNULL: MODE_NULL, CAPTURE: MODE_CAPTURE, INHERIT: MODE_INHERIT}

FORKED = "a sandbox and a pool belong to the process that started them, and this one was forked from it: start another here"


def streams(*choices: Any) -> Any:
    """The three standard streams for clawrun_spawn: one of the constants above, a descriptor, or what has a fileno()."""
    array = (Stream * 3)()
    for index, choice in enumerate(choices):
        if choice in _MODES:
            array[index] = Stream(_MODES[choice], -1)
            continue
        fd = choice if isinstance(choice, int) else choice.fileno()
        if fd < 0:
            raise ValueError(f"{fd} is no stream: PIPE, DEVNULL, CAPTURE, INHERIT, a descriptor or a file")
        array[index] = Stream(MODE_FD, fd)
    return array


class Owned:
    """A handle that is freed once: by close(), when it is dropped, or at the exit of the interpreter."""

    def __init__(self, pointer: int, free: Callable[[int], None]) -> None:
        self._pointer: Optional[int] = pointer
        self._owner_pid = os.getpid()
        self._finalizer = weakref.finalize(self, _free_in_owner, free, pointer, self._owner_pid)

    def owned(self) -> int:
        # A fork has copies of the locks too, maybe taken by a thread that it does not have.
        if os.getpid() != self._owner_pid:
            raise ClosedError(FORKED)
        if self._pointer is None:
            raise ClosedError("this handle is closed")
        return self._pointer

    def release(self) -> None:
        self._pointer = None
        self._finalizer()


def _free_in_owner(free: Callable[[int], None], pointer: int, owner_pid: int) -> None:
    """A fork that ends must not take the sandboxes of its parent with it."""
    if os.getpid() == owner_pid:
        free(pointer)


class Live(Owned):
    """One sandbox. `with live as pointer:` is one thread's turn with the handle; no call in it waits."""

    def __init__(self, pointer: int) -> None:
        self.library = library()
        # Re-entrant, because the handler of a signal may run in the midst of a turn and kill the sandbox.
        self._turn = RLock()
        self.has_ended = False
        super().__init__(pointer, self.library.sandbox_free)

    def __enter__(self) -> int:
        self.owned()
        self._turn.acquire()
        try:
            return self.owned()
        except ClosedError:
            self._turn.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._turn.release()

    def fd(self) -> int:
        with self as pointer:
            fd: int = self.library.sandbox_fd(pointer)
            return fd

    def step(self) -> bool:
        """Does what is to be done now; true when the sandbox has ended."""
        if not self.has_ended:
            with self as pointer:
                self.has_ended = checked(self.library.sandbox_process, pointer) == 1
        return self.has_ended

    def wait_for(self, fd: int, events: int) -> None:
        """Until something can be done with that pipe. The sandbox goes on meanwhile: it may be this process that fills the pipe."""
        poller = select.poll()
        poller.register(fd, events)
        try:
            own = -1 if self.step() else self.fd()
        except ClosedError:
            own = -1
        if own >= 0:
            poller.register(own, select.POLLIN)
        poller.poll()

    def kill(self, signal: int) -> None:
        if not self.has_ended:
            with self as pointer:
                checked(self.library.sandbox_kill, pointer, signal)

    def close(self) -> None:
        with self:
            self.release()


class Shared(Owned):
    """A handle that threads may use at the same time; close() waits for those who do. `with shared as pointer:` is one use."""

    def __init__(self, pointer: int, free: Callable[[int], None]) -> None:
        self._counting = allocate_lock()
        self._users = 0
        self._in_use = allocate_lock()  # held while there are users; given back by the last, whoever took it
        super().__init__(pointer, free)

    def __enter__(self) -> int:
        self.owned()
        with self._counting:
            pointer = self.owned()
            self._users += 1
            if self._users == 1:
                self._in_use.acquire()
            return pointer

    def __exit__(self, *_: object) -> None:
        with self._counting:
            self._users -= 1
            if self._users == 0:
                self._in_use.release()

    def close(self) -> None:
        try:
            self.owned()
        except ClosedError:
            return
        with self._counting:
            self._pointer = None
        with self._in_use:
            self.release()


def spawn(start: Callable[..., int], arguments: Tuple[Any, ...], choices: Tuple[Any, Any, Any]) -> Live:
    """clawrun_spawn or clawrun_pool_claim, whose last parameters are the streams and the handle."""
    from ctypes import byref, c_void_p

    handle = c_void_p()
    checked(start, *arguments, streams(*choices), byref(handle))
    assert handle.value is not None
    return Live(handle.value)
