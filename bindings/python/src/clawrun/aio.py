"""Sandboxes in asyncio: no thread and no child watcher; the loop watches each sandbox's own descriptor.

Only the start of a sandbox, some milliseconds, is not awaited: the kernel has no other way to make a process.
"""

from __future__ import annotations

import asyncio
import weakref

from ._live import CAPTURE, DEVNULL, PIPE, SIGKILL
from .cluster import SandboxCluster
from .pool import SandboxPool
from .process import DEFAULT_MAX_BYTES, Process
from .sandbox import Sandbox
from .types import as_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional

    from ._streams import Feed
    from .types import Argument, Arguments, Data, Environment, FileEntry, Files, Result, Setting


class AsyncProcess:
    """A Process whose end can be awaited. It belongs to one event loop. Its streams that are PIPE are asyncio's.

    Leaving `async with`, close() or dropping the last reference kills what still runs.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._feed: Optional[Feed] = None
        self._transports: List[Any] = []
        self._end: asyncio.Future[Result] = self._loop.create_future()
        # Watched from the start: a deadline is kept, and limited pipes are filled, whoever awaits what.
        self._fd = process.fileno()
        self._loop.add_reader(self._fd, _step, weakref.ref(self))
        self.id = process.id
        self.stdin: Optional[asyncio.StreamWriter] = None
        self.stdout: Optional[asyncio.StreamReader] = None
        self.stderr: Optional[asyncio.StreamReader] = None

    async def _connect(self) -> AsyncProcess:
        process = self._process
        pipes = process.stdin, process.stdout, process.stderr
        process.stdin = process.stdout = process.stderr = None
        if pipes[0] is not None:
            # Of this protocol only drain() is needed.
            protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
            transport, _ = await self._loop.connect_write_pipe(lambda: protocol, pipes[0])
            self._transports.append(transport)
            self.stdin = asyncio.StreamWriter(transport, protocol, None, self._loop)
        self.stdout = await self._reader(pipes[1])
        self.stderr = await self._reader(pipes[2])
        return self

    async def _reader(self, pipe: Any) -> Optional[asyncio.StreamReader]:
        if pipe is None:
            return None
        reader = asyncio.StreamReader()
        transport, _ = await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        self._transports.append(transport)
        return reader

    # ---- Its end

    async def wait(self) -> Result:
        """The end. Cancelling this leaves the sandbox as it is; asyncio.wait_for() gives it a limit."""
        return await asyncio.shield(self._end)

    async def _communicate(self, input: Optional[Data]) -> Result:
        if input is not None:
            feed = self._process.feed(as_bytes(input))
            if not feed.step():
                self._feed = feed
                self._loop.add_writer(feed.fd, _feed_step, weakref.ref(self))  # type: ignore[arg-type]
        return await self.wait()

    def _unwatch(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._fd = -1
        if self._feed is not None and self._feed.fd is not None:
            self._loop.remove_writer(self._feed.fd)
            self._feed.close()

    # ---- While it runs

    def kill(self, signal: int = SIGKILL) -> None:
        self._process.kill(signal)

    def terminate(self) -> None:
        self._process.terminate()

    def captured(self, stream: int) -> bytes:
        return self._process.captured(stream)

    def put_file(self, path: Argument, data: Data, mode: int = 0o644) -> None:
        self._process.put_file(path, data, mode)

    def get_file(self, path: Argument, max_bytes: int = DEFAULT_MAX_BYTES) -> bytes:
        return self._process.get_file(path, max_bytes)

    def list(self, path: Argument = "") -> List[FileEntry]:
        return self._process.list(path)

    def close(self) -> None:
        """Kills what still runs and waits until it is gone, which is the kernel's work and takes about a millisecond."""
        _discard(self._process, self._transports, self._unwatch)
        if not self._end.done():
            self._end.cancel()

    async def __aenter__(self) -> AsyncProcess:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Maybe in another thread, by the garbage collector; the loop must forget a descriptor before it is closed.
        if getattr(self, "_fd", -1) >= 0 and not self._loop.is_closed():
            fds = self._fd, self._feed.fd if self._feed is not None else None
            self._loop.call_soon_threadsafe(_discard_dropped, self._process, self._transports, self._loop, *fds)


def _step(reference: weakref.ref[AsyncProcess]) -> None:
    self = reference()
    if self is None or self._end.done():
        return
    try:
        result = self._process.poll()
    except Exception as error:
        self._unwatch()
        self._end.set_exception(error)
        return
    if result is not None:
        self._unwatch()
        self._end.set_result(result)


def _feed_step(reference: weakref.ref[AsyncProcess]) -> None:
    self = reference()
    if self is None or self._feed is None or self._feed.fd is None:
        return
    fd = self._feed.fd
    # Forgotten before it is closed.
    self._loop.remove_writer(fd)
    if not self._feed.step():
        self._loop.add_writer(fd, _feed_step, reference)


def _discard(process: Process, transports: List[Any], unwatch: Any) -> None:
    unwatch()
    for transport in transports:
        if not hasattr(transport, "abort"):
            transport.close()
        elif not transport.is_closing() or transport.get_write_buffer_size() > 0:
            transport.abort()
    process.close()


def _discard_dropped(process: Process, transports: List[Any], loop: asyncio.AbstractEventLoop, fd: int, feed_fd: Optional[int]) -> None:
    def unwatch() -> None:
        loop.remove_reader(fd)
        if feed_fd is not None:
            loop.remove_writer(feed_fd)

    _discard(process, transports, unwatch)


async def _finished(process: Process, input: Optional[Data], check: bool) -> Result:
    """Cancelled or not, the sandbox is gone afterwards."""
    running = AsyncProcess(process)
    try:
        result = await running._communicate(input)
    finally:
        running.close()
    return result.check() if check else result.check_limits()


def _stdin_for(input: Optional[Data]) -> int:
    return DEVNULL if input is None else PIPE


class AsyncSandbox:
    """Sandbox for asyncio, with the same keywords."""

    def __init__(self, *, profile: Optional[str] = None, files: Optional[Files] = None, **settings: Setting) -> None:
        self.sandbox = Sandbox(profile=profile, files=files, **settings)

    async def run(self, args: Arguments, *, input: Optional[Data] = None, timeout: Optional[float] = None,
                  env: Optional[Environment] = None, files: Optional[Files] = None, check: bool = False) -> Result:
        """As Sandbox.run(). Where it is cancelled the sandbox is killed."""
        process = self.sandbox.start(args, stdin=_stdin_for(input), timeout=timeout, env=env, files=files)
        return await _finished(process, input, check)

    async def start(self, args: Arguments, *, stdin: Any = DEVNULL, stdout: Any = CAPTURE, stderr: Any = CAPTURE,
                    timeout: Optional[float] = None, env: Optional[Environment] = None,
                    files: Optional[Files] = None) -> AsyncProcess:
        """As Sandbox.start()."""
        process = self.sandbox.start(args, stdin=stdin, stdout=stdout, stderr=stderr, timeout=timeout, env=env, files=files)
        return await AsyncProcess(process)._connect()


class AsyncSandboxPool:
    """SandboxPool for asyncio, with the same arguments. A claim that finds none ready holds the loop up until one is: with
    when_empty="cold" some milliseconds."""

    def __init__(self, sandbox: Optional[Sandbox] = None, **options: Any) -> None:
        self.pool = SandboxPool(sandbox, **options)

    async def start(self, args: Optional[Arguments] = None, **claim: Any) -> AsyncProcess:
        return await AsyncProcess(self.pool.start(args, **claim))._connect()

    async def run(self, args: Optional[Arguments] = None, *, input: Optional[Data] = None, check: bool = False,
                  **claim: Any) -> Result:
        return await _finished(self.pool.start(args, stdin=_stdin_for(input), **claim), input, check)

    async def run_code(self, code: Data, **claim: Any) -> Result:
        return await self.run(code=code, **claim)

    def close(self) -> None:
        self.pool.close()

    async def __aenter__(self) -> AsyncSandboxPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class AsyncSandboxCluster:
    """SandboxCluster for asyncio, with the same arguments."""

    def __init__(self, image: str = "host", **options: Any) -> None:
        self.cluster = SandboxCluster(image, **options)

    async def run_code(self, code: Data, timeout_seconds: Optional[float] = None, *, language: str = "python",
                       files: Optional[Files] = None, env: Optional[Environment] = None, input: Optional[Data] = None,
                       check: bool = False) -> Result:
        process = self.cluster.start_code(code, timeout_seconds, language=language, files=files, env=env, stdin=_stdin_for(input))
        return await _finished(process, input, check)

    async def run_command(self, args: Arguments, timeout_seconds: Optional[float] = None, *, files: Optional[Files] = None,
                          env: Optional[Environment] = None, input: Optional[Data] = None, check: bool = False) -> Result:
        process = self.cluster.start_command(args, timeout_seconds, files=files, env=env, stdin=_stdin_for(input))
        return await _finished(process, input, check)

    def close(self) -> None:
        self.cluster.close()

    async def __aenter__(self) -> AsyncSandboxCluster:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
