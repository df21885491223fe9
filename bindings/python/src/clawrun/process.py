"""A sandbox that runs."""

from __future__ import annotations

import io
import select
from ctypes import byref, c_size_t, c_void_p, string_at
from math import ceil
from time import monotonic

from ._abi import STATUSES, checked, encoded, take_text
from ._live import SIGKILL, SIGTERM
from ._spec import DEFAULT_MODE
from ._streams import Feed, Reader, Writer
from .errors import ClosedError, FileError, StillRunning
from .types import FileEntry, Result, as_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import RLock
    from typing import List, Optional

    from ._live import Live
    from .types import Argument, Data
else:
    from _thread import RLock

DEFAULT_MAX_BYTES = 64 << 20  # of get_file
LONGEST_POLL_MS = 1 << 30


class Process:
    """One sandbox, from its start on. Leaving `with`, close() or dropping the last reference kills what still runs.

    It may be used by several threads. It belongs to the process that started it: in a fork of that it is ClosedError.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._library = live.library
        self._waiting = RLock()  # the thread that waits for the end
        self._result: Optional[Result] = None
        with live as pointer:
            #: Its name for `clawrun list`.
            self.id: str = self._library.sandbox_id(pointer).decode()
            ends = [self._library.sandbox_take_stream(pointer, stream) for stream in range(3)]
        #: The streams that are PIPE.
        self.stdin: Optional[Writer] = Writer(ends[0], live) if ends[0] >= 0 else None
        self.stdout: Optional[io.BufferedReader] = io.BufferedReader(Reader(ends[1], live)) if ends[1] >= 0 else None
        self.stderr: Optional[io.BufferedReader] = io.BufferedReader(Reader(ends[2], live)) if ends[2] >= 0 else None

    # ---- Its end

    def poll(self) -> Optional[Result]:
        """The result, or None while it runs. Never waits."""
        if self._result is None and self._live.step():
            with self._live as pointer:
                if self._result is None:
                    self._result = self._read_result(pointer)
        return self._result

    def wait(self, timeout: Optional[float] = None) -> Result:
        """Waits for the end, for at most so many seconds; then it is StillRunning, and the sandbox goes on."""
        return self._wait(timeout, None)

    def communicate(self, input: Optional[Data] = None, timeout: Optional[float] = None) -> Result:
        """Writes the input, closes it, and waits for the end. Output that is PIPE is not read: use CAPTURE."""
        if input is not None and self.stdin is None:
            raise ValueError("there is no pipe to write the input to: start with stdin=PIPE")
        feed = self.feed(as_bytes(input or b"")) if self.stdin is not None and not self.stdin.closed else None
        try:
            return self._wait(timeout, feed)
        finally:
            if feed is not None:
                feed.close()

    def finish(self, input: Optional[Data] = None, *, check: bool = False) -> Result:
        """communicate() and close(); raises SandboxTimeout, SandboxOOM, and with `check` NonzeroExit."""
        with self:
            result = self.communicate(input)
        return result.check() if check else result.check_limits()

    def feed(self, data: bytes) -> Feed:
        """What is to be written to the standard input in steps, for a loop that polls; Process.stdin is None afterwards."""
        from os import dup

        assert self.stdin is not None
        with self.stdin as stdin:
            fd = dup(stdin.fileno())
        self.stdin = None
        return Feed(fd, data)

    def _wait(self, timeout: Optional[float], feed: Optional[Feed]) -> Result:
        deadline = None if timeout is None else monotonic() + timeout
        if self._result is not None:
            return self._result
        self._live.owned()
        if not self._waiting.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            raise StillRunning(f"the sandbox {self.id} still runs after {timeout} s")
        try:
            poller = select.poll()
            feed_fd = -1
            if feed is not None and not feed.step():
                assert feed.fd is not None
                feed_fd = feed.fd
                poller.register(feed_fd, select.POLLOUT)
            result = self.poll()
            if result is None:
                poller.register(self._live.fd(), select.POLLIN)
            while result is None:
                left_ms = None if deadline is None else ceil((deadline - monotonic()) * 1000)
                if left_ms is not None and left_ms <= 0:
                    raise StillRunning(f"the sandbox {self.id} still runs after {timeout} s")
                ready = poller.poll(None if left_ms is None else min(left_ms, LONGEST_POLL_MS))
                if feed is not None and any(fd == feed_fd for fd, _ in ready):
                    # By its number: a descriptor is closed when the last of it is written.
                    if feed.step():
                        poller.unregister(feed_fd)
                        feed = None
                result = self.poll()
            return result
        finally:
            self._waiting.release()

    def _read_result(self, pointer: int) -> Result:
        abi = self._library
        outcome = abi.sandbox_outcome(pointer)
        return Result(
            status=STATUSES[abi.outcome_status(outcome)],
            exit_code=abi.outcome_exit_code(outcome),
            signal=abi.outcome_signal(outcome) or None,
            reason=abi.outcome_reason(outcome).decode("utf-8", "replace"),
            stdout_bytes=self._captured(pointer, 1),
            stderr_bytes=self._captured(pointer, 2),
            stdout_lost_bytes=abi.sandbox_output_lost(pointer, 1),
            stderr_lost_bytes=abi.sandbox_output_lost(pointer, 2),
            wall_us=abi.outcome_wall_us(outcome),
            cpu_us=abi.outcome_cpu_us(outcome),
            memory_peak_bytes=abi.outcome_memory_peak_bytes(outcome),
            report_json=abi.outcome_json(outcome).decode("utf-8", "replace"),
        )

    def _captured(self, pointer: int, stream: int) -> bytes:
        size = c_size_t()
        address = self._library.sandbox_output(pointer, stream, byref(size))
        return string_at(address, size.value) if address else b""

    # ---- While it runs

    def captured(self, stream: int) -> bytes:
        """What has come so far of stream 1 or 2, where that is CAPTURE."""
        self._live.step()
        with self._live as pointer:
            return self._captured(pointer, stream)

    def kill(self, signal: int = SIGKILL) -> None:
        """SIGKILL ends all of the sandbox; TERM, INT, HUP, QUIT, USR1, USR2 and WINCH go to the command."""
        self._live.kill(signal)

    def terminate(self) -> None:
        self.kill(SIGTERM)

    def fileno(self) -> int:
        """Readable when poll() has something to do: for selectors and event loops."""
        return self._live.fd()

    @property
    def pidfd(self) -> int:
        """Of the first process inside, for waiting only; -1 when the end has been noticed."""
        with self._live as pointer:
            fd: int = self._library.sandbox_pidfd(pointer)
            return fd

    # ---- Files in the work directory, until close(), also after the end

    def put_file(self, path: Argument, data: Data, mode: int = DEFAULT_MODE) -> None:
        """A new file, or a replaced one, that appears whole or not at all. Missing directories are made."""
        content = as_bytes(data)
        with self._live as pointer:
            checked(self._library.put_file, pointer, encoded(path), content, len(content), mode, error_type=FileError)

    def get_file(self, path: Argument, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
        """The whole of a regular file; a larger one is FileError. No symbolic link is followed."""
        data, size = c_void_p(), c_size_t()
        with self._live as pointer:
            checked(self._library.get_file, pointer, encoded(path), max_bytes, byref(data), byref(size), error_type=FileError)
        try:
            return string_at(data, size.value) if data else b""
        finally:
            self._library.data_free(data)

    def list(self, path: Argument = "") -> List[FileEntry]:
        """The entries of one directory, sorted by name."""
        import json

        with self._live as pointer:
            text = take_text(checked(self._library.list, pointer, encoded(path), error_type=FileError))
        return [FileEntry(entry["name"], entry["type"], entry["size"], entry["mode"], entry["mtime_ms"]) for entry in json.loads(text)]

    # ---- Its end, by us

    def close(self) -> None:
        """Kills what still runs, waits until it is gone, and closes the streams. The result, if there is one, stays."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        try:
            self._live.kill(SIGKILL)
        except ClosedError:
            return
        # A thread that waits for the end has it now; nothing is freed below its hands.
        with self._waiting:
            try:
                self._live.close()
            except ClosedError:
                pass

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Process {self.id}: {self._result.status if self._result else 'not seen to end'}>"
