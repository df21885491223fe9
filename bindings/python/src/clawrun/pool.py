"""Sandboxes that are kept ready."""

from __future__ import annotations

from ctypes import byref, c_void_p

from ._abi import PoolStats, checked, encoded, library, take_text, words
from ._live import CAPTURE, DEVNULL, PIPE, Shared, spawn
from ._spec import each_file, setting_name, setting_words, timeout_words
from .process import Process
from .sandbox import Sandbox
from .types import as_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

    from .types import Arguments, Data, Environment, Files, Result, Setting


class _Claim:
    """Owns a clawrun_claim: what a claim brings."""

    def __init__(self) -> None:
        self._library = library()
        self._free = self._library.claim_free
        self.pointer = self._library.claim_new()
        if self.pointer is None:
            raise MemoryError("libclawrun is out of memory")

    def __del__(self) -> None:
        if getattr(self, "pointer", None) is not None:
            self._free(self.pointer)

    def fill(self, args: Optional[Arguments], code: Optional[Data], env: Optional[Environment], files: Optional[Files],
             settings: Dict[str, Setting]) -> None:
        abi = self._library
        if args is not None:
            checked(abi.claim_command, self.pointer, *words(args))
        if code is not None:
            text = as_bytes(code)
            checked(abi.claim_code, self.pointer, text, len(text))
        for variable in setting_words("env", env):
            checked(abi.claim_env, self.pointer, encoded(variable))
        for path, data, mode in each_file(files):
            checked(abi.claim_file, self.pointer, path, data, len(data), mode)
        for name, value in settings.items():
            for word in setting_words(name, value):
                checked(abi.claim_set, self.pointer, encoded(setting_name(name)), encoded(word))


class SandboxPool:
    """Keeps `size` sandboxes of one kind ready, so that a start costs microseconds. Each serves one claim and dies.

    parked: everything is built and confined; the command comes with the claim: run(args), start(args).
    primed: an interpreter runs inside and has run `prime`; the code comes with the claim: run_code(code), start(code=code).

    `when_empty` is "cold" (a claim that finds none ready starts one) or "wait" (for at most `wait` seconds). It may be used by
    several threads. close() must not be called from the handler of a signal.
    """

    def __init__(self, sandbox: Optional[Sandbox] = None, *, size: int = 4, grade: str = "parked", interpreter: Optional[str] = None,
                 prime: Optional[str] = None, when_empty: str = "cold", wait: Optional[float] = None,
                 allow_workspace: bool = False, shrink: bool = True) -> None:
        self._library = library()
        self._library.require_pools()
        spec = (sandbox or Sandbox())._copy()
        options = {"size": size, "grade": grade, "interpreter": interpreter, "prime": prime, "when-empty": when_empty,
                   "wait": None if wait is None else timeout_words(wait), "workspace": allow_workspace, "shrink": shrink}
        pool = c_void_p()
        handle = self._library.pool_options_new()
        if handle is None:
            raise MemoryError("libclawrun is out of memory")
        try:
            for name, value in options.items():
                for word in setting_words(name, value):  # type: ignore[arg-type]
                    checked(self._library.pool_options_set, handle, encoded(name), encoded(word))
            checked(self._library.pool_open, spec.pointer, handle, byref(pool))
        finally:
            self._library.pool_options_free(handle)
        assert pool.value is not None
        self._pool = Shared(pool.value, self._library.pool_close)

    def start(self, args: Optional[Arguments] = None, *, code: Optional[Data] = None, stdin: Any = DEVNULL, stdout: Any = CAPTURE,
              stderr: Any = CAPTURE, timeout: Optional[float] = None, env: Optional[Environment] = None,
              files: Optional[Files] = None, **settings: Any) -> Process:
        """Takes one that is ready. `settings` are what a claim may change: grace, max_output, memory, pids, cpus, workspace."""
        claim = _Claim()
        claim.fill(args, code, env, files, {"timeout": timeout, **settings})
        with self._pool as pool:
            return Process(spawn(self._library.pool_claim, (pool, claim.pointer), (stdin, stdout, stderr)))

    def run(self, args: Optional[Arguments] = None, *, code: Optional[Data] = None, input: Optional[Data] = None,
            timeout: Optional[float] = None, env: Optional[Environment] = None, files: Optional[Files] = None,
            check: bool = False, **settings: Any) -> Result:
        """As Sandbox.run(), in a sandbox that was ready."""
        stdin = DEVNULL if input is None else PIPE
        process = self.start(args, code=code, stdin=stdin, timeout=timeout, env=env, files=files, **settings)
        return process.finish(input, check=check)

    def run_code(self, code: Data, *, input: Optional[Data] = None, timeout: Optional[float] = None,
                 env: Optional[Environment] = None, files: Optional[Files] = None, check: bool = False,
                 **settings: Any) -> Result:
        """Has the interpreter of a primed pool run that code."""
        return self.run(code=code, input=input, timeout=timeout, env=env, files=files, check=check, **settings)

    def wait_ready(self, count: int = 1, timeout: Optional[float] = None) -> bool:
        """Waits until so many are ready; false where they are not within so many seconds. Raises where none can be made."""
        with self._pool as pool:
            return bool(checked(self._library.pool_wait_ready, pool, count, -1 if timeout is None else int(timeout * 1000)))

    def resize(self, size: int) -> None:
        with self._pool as pool:
            checked(self._library.pool_resize, pool, size)

    def stats(self) -> Dict[str, int]:
        """What it has counted: size, ready, filling, hits, misses, waited, starved, made, died, failed, shrunk, refill_us_total,
        refill_us_max."""
        stats = PoolStats()
        with self._pool as pool:
            self._library.pool_get_stats(pool, byref(stats))
        return {name: getattr(stats, name) for name, _ in PoolStats._fields_}

    def prometheus(self, name: str) -> str:
        """The same in the text format of Prometheus, with `name` as the label pool."""
        with self._pool as pool:
            text = self._library.pool_stats_prometheus(pool, encoded(name))
        if text is None:
            raise MemoryError("libclawrun is out of memory")
        return take_text(text)

    def close(self) -> None:
        """Ends what is ready and waits for its end. What was claimed goes on."""
        self._pool.close()

    def __enter__(self) -> SandboxPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
