"""Code of strangers, in one line: SandboxCluster(image="host").run_code(code).stdout"""

from __future__ import annotations

from _thread import allocate_lock

from ._abi import library
from ._live import DEVNULL, PIPE
from .errors import ClosedError
from .pool import SandboxPool
from .process import Process
from .sandbox import Sandbox
from .types import as_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple, Union

    from .types import Arguments, Data, Environment, Files, Result

#: The interpreter, the option that takes code as an argument, and the file that code is put into.
LANGUAGES: Dict[str, Tuple[str, str, str]] = {
    "python": ("python3", "-c", "main.py"),
    "sh": ("sh", "-c", "main.sh"),
    "node": ("node", "-e", "main.js"),
}
LONGEST_ARGUMENT_BYTES = (128 << 10) - 1  # MAX_ARG_STRLEN, with its NUL: execve(2)
DEFAULT_POOL_SIZE = 4


class SandboxCluster:
    """Runs code, each piece in a sandbox of its own. The keywords are those that Docker's users know:

    image: a root of the store (`clawrun rootfs list`), a directory, or "host", the host's own /usr, read-only.
    network_mode: "none" or "host".   mem_limit: "128m", or bytes.   cpu_shares: 2 to 262144, 1024 being everybody's.
    cpus: processors' worth of time, such as 0.5.   pids_limit: processes and threads.

    Python code is run by an interpreter that waits for it in a pool of `pool_size` sandboxes, opened with the first code; `prime`
    is code that these interpreters run beforehand, such as imports. With 0 there is no pool, and each piece of code starts its own
    interpreter; so it is, too, where pool_size is not given and the library has no pools. All else are settings of Sandbox.
    """

    def __init__(self, image: str = "host", *, network_mode: str = "none", mem_limit: Union[None, int, str] = None,
                 cpu_shares: Optional[int] = None, cpus: Optional[float] = None, pids_limit: Optional[int] = None,
                 pool_size: Optional[int] = None, prime: Optional[str] = None, profile: Optional[str] = None,
                 **settings: Any) -> None:
        self.sandbox = Sandbox(profile=profile, rootfs=image, network=network_mode, memory=mem_limit, cpu_shares=cpu_shares,
                               cpus=cpus, pids=pids_limit, **settings)
        if pool_size:
            library().require_pools()
        has_pool = library().has_pools if pool_size is None else pool_size > 0
        if prime is not None and not has_pool:
            raise ValueError("prime is for a pool's interpreters, and there is no pool")
        self._pool_size = (pool_size or DEFAULT_POOL_SIZE) if has_pool else 0
        self._prime = prime
        self._pool: Optional[SandboxPool] = None
        self._pool_lock = allocate_lock()
        self._is_closed = False
        # The caller's own directory as the work directory takes no files from us.
        self._takes_files = not _refuses_files(self.sandbox)

    def run_code(self, code: Data, timeout_seconds: Optional[float] = None, *, language: str = "python",
                 files: Optional[Files] = None, env: Optional[Environment] = None, input: Optional[Data] = None,
                 check: bool = False) -> Result:
        """Runs code of that language ("python", "sh", "node") to its end. Raises as Sandbox.run()."""
        stdin = DEVNULL if input is None else PIPE
        process = self.start_code(code, timeout_seconds, language=language, files=files, env=env, stdin=stdin)
        return process.finish(input, check=check)

    def run_command(self, args: Arguments, timeout_seconds: Optional[float] = None, *, files: Optional[Files] = None,
                    env: Optional[Environment] = None, input: Optional[Data] = None, check: bool = False) -> Result:
        """Sandbox.run() with the cluster's settings."""
        stdin = DEVNULL if input is None else PIPE
        return self.start_command(args, timeout_seconds, files=files, env=env, stdin=stdin).finish(input, check=check)

    def start_code(self, code: Data, timeout_seconds: Optional[float] = None, *, language: str = "python",
                   files: Optional[Files] = None, env: Optional[Environment] = None, stdin: int = DEVNULL) -> Process:
        """As run_code(), for who wants its files or its output while it runs."""
        if language not in LANGUAGES:
            raise ValueError(f"language {language!r} is not one of {', '.join(LANGUAGES)}")
        pool = self._python_pool() if language == "python" else None
        if pool is not None:
            return pool.start(code=code, stdin=stdin, timeout=timeout_seconds, env=env, files=files)
        args, files = self._cold(code, language, files)
        return self.start_command(args, timeout_seconds, files=files, env=env, stdin=stdin)

    def start_command(self, args: Arguments, timeout_seconds: Optional[float] = None, *, files: Optional[Files] = None,
                      env: Optional[Environment] = None, stdin: int = DEVNULL) -> Process:
        self._require_open()
        return self.sandbox.start(args, stdin=stdin, timeout=timeout_seconds, env=env, files=files)

    def _cold(self, code: Data, language: str, files: Optional[Files]) -> Tuple[Arguments, Optional[Files]]:
        """In a file, so that a traceback has its lines, whatever size it has."""
        interpreter, option, name = LANGUAGES[language]
        text = as_bytes(code)
        if self._takes_files:
            if files and name in files:
                raise ValueError(f"files: {name} is where the code goes; give yours another name")
            return (interpreter, name), {**(files or {}), name: text}
        if len(text) > LONGEST_ARGUMENT_BYTES:
            raise ValueError(f"code of {len(text)} bytes: in a workspace of the caller's at most {LONGEST_ARGUMENT_BYTES}; write it to "
                             "a file there and use run_command")
        return (interpreter, option, text), files

    def _python_pool(self) -> Optional[SandboxPool]:
        self._require_open()
        if self._pool_size == 0:
            return None
        with self._pool_lock:
            self._require_open()
            if self._pool is None:
                self._pool = SandboxPool(self.sandbox, size=self._pool_size, grade="primed", interpreter=LANGUAGES["python"][0],
                                         prime=self._prime)
            return self._pool

    def _require_open(self) -> None:
        if self._is_closed:
            raise ClosedError("the cluster is closed")

    def close(self) -> None:
        with self._pool_lock:
            self._is_closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def __enter__(self) -> SandboxCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _refuses_files(sandbox: Sandbox) -> bool:
    spec = sandbox._copy()
    spec.command(["true"])
    spec.files({"probe": b""})
    return any(problem["setting"] == "files" for problem in spec.problems())
