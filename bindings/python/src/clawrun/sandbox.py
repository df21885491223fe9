"""What a sandbox is to be, and starting it."""

from __future__ import annotations

from _thread import allocate_lock

from ._live import CAPTURE, DEVNULL, PIPE, spawn
from ._spec import Spec
from .process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

    from .types import Arguments, Data, Environment, Files, Result, Setting


class Sandbox:
    """The settings of sandboxes. Each run() and start() is a sandbox of its own, made for that command and thrown away after it.

    Every setting of clawrun-profile(5) is a keyword, with _ for -: memory="128m", timeout=10, network="none", cap_add=["CHOWN"],
    env={"LANG": "C.UTF-8"}. A switch is True or False, a time without a unit is in seconds, a list is a list. `profile` is the
    name or file of a profile, applied before the settings; `files` are in the work directory when the command starts.
    """

    def __init__(self, *, profile: Optional[str] = None, files: Optional[Files] = None, **settings: Setting) -> None:
        self._spec = Spec()
        self._lock = allocate_lock()
        if profile is not None:
            self._spec.profile(profile)
        for name, value in settings.items():
            self._spec.set(name, value)
        self._spec.files(files)

    def run(self, args: Arguments, *, input: Optional[Data] = None, timeout: Optional[float] = None,
            env: Optional[Environment] = None, files: Optional[Files] = None, check: bool = False) -> Result:
        """Runs a command to its end and returns what it wrote.

        Raises SetupError where it was never run, SandboxTimeout and SandboxOOM where a limit ended it, and with `check`
        NonzeroExit where it failed. `timeout` is in seconds and goes before the setting of that name.
        """
        stdin = DEVNULL if input is None else PIPE
        return self.start(args, stdin=stdin, timeout=timeout, env=env, files=files).finish(input, check=check)

    def start(self, args: Arguments, *, stdin: Any = DEVNULL, stdout: Any = CAPTURE, stderr: Any = CAPTURE,
              timeout: Optional[float] = None, env: Optional[Environment] = None, files: Optional[Files] = None) -> Process:
        """Starts a command and returns when it has been executed. A stream is PIPE, DEVNULL, CAPTURE (not stdin), INHERIT, a
        descriptor, or what has a fileno()."""
        spec = self._copy()
        spec.command(args)
        spec.timeout(timeout)
        spec.environment(env)
        spec.files(files)
        return Process(spawn(spec._library.spawn, (spec.pointer,), (stdin, stdout, stderr)))

    def problems(self) -> List[Dict[str, str]]:
        """What is wrong with the settings: a "setting" and a "message" each. What only this host refuses is not among it."""
        spec = self._copy()
        spec.command(["true"])
        return spec.problems()

    def plan(self, args: Arguments) -> Dict[str, Any]:
        """Exactly what start() would do now: namespaces, mounts, id maps, filters, limits."""
        spec = self._copy()
        spec.command(args)
        return spec.plan()

    def _copy(self) -> Spec:
        with self._lock:
            return self._spec.copy()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held but memory; for symmetry with SandboxPool and SandboxCluster."""
