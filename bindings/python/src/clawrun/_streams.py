"""The host's ends of a sandbox's pipes as Python's streams."""

from __future__ import annotations

import io
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from ._live import Live

WRITE_SIZE = 1 << 20


class _Pipe(io.RawIOBase):
    """Keeps the sandbox alive as a Process does: whoever still reads wants it to go on."""

    def __init__(self, fd: int, live: Live) -> None:
        super().__init__()
        self._fd = fd
        self._live = live

    def fileno(self) -> int:
        if self.closed:
            raise ValueError("I/O operation on a closed stream")
        return self._fd

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._fd)


class Reader(_Pipe):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            try:
                return os.readv(self.fileno(), [buffer])
            except BlockingIOError:
                self._live.wait_for(self.fileno(), select.POLLIN)


class Writer(_Pipe):
    """Not buffered; write() returns when everything is in the pipe."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            try:
                left = left[os.write(self.fileno(), left[:WRITE_SIZE]):]
            except BlockingIOError:
                self._live.wait_for(self.fileno(), select.POLLOUT)
        return size


class Feed:
    """Input that is written piece by piece, as there is room in the pipe."""

    def __init__(self, fd: int, data: bytes) -> None:
        self.fd: Optional[int] = fd
        self._left = memoryview(data)

    def step(self) -> bool:
        """Writes what there is room for. True when it is all written, or nobody reads it any more; the pipe is closed then."""
        if self.fd is None:
            return True
        try:
            while self._left:
                self._left = self._left[os.write(self.fd, self._left[:WRITE_SIZE]):]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            pass
        self.close()
        return True

    def close(self) -> None:
        fd, self.fd = self.fd, None
        if fd is not None:
            os.close(fd)
