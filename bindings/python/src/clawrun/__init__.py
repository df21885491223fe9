"""clawrun: sandboxes for code that nobody should trust. See the README of this package, and libclawrun(3).

    >>> from clawrun import SandboxCluster
    >>> SandboxCluster(image="host", network_mode="none", mem_limit="128m").run_code("print(6 * 7)", timeout_seconds=10).stdout
    '42\\n'
"""

from ._live import CAPTURE, DEVNULL, INHERIT, PIPE
from .cluster import SandboxCluster
from .errors import (ClawrunError, ClosedError, FileError, LibraryError, NonzeroExit, OutcomeError, SandboxOOM, SandboxTimeout,
                     SetupError, StillRunning)
from .pool import SandboxPool
from .process import Process
from .sandbox import Sandbox
from .types import FileEntry, Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .aio import AsyncProcess, AsyncSandbox, AsyncSandboxCluster, AsyncSandboxPool

__version__ = "0.1.0"
__all__ = ["AsyncProcess", "AsyncSandbox", "AsyncSandboxCluster", "AsyncSandboxPool", "CAPTURE", "ClawrunError", "ClosedError",
           "DEVNULL", "FileEntry", "FileError", "INHERIT", "LibraryError", "NonzeroExit", "OutcomeError", "PIPE", "Process",
           "Result", "Sandbox", "SandboxCluster", "SandboxOOM", "SandboxPool", "SandboxTimeout", "SetupError", "StillRunning",
           "library_version"]


def library_version() -> str:
    """Of the libclawrun that was loaded, which CLAWRUN_LIBRARY can name."""
    from ._abi import library

    version: str = library().version().decode()
    return version


if not TYPE_CHECKING:  # which would take every name for one of ours
    def __getattr__(name: str) -> object:
        # asyncio takes longer to import than a sandbox to start.
        if name in __all__ and name.startswith("Async"):
            from . import aio

            return getattr(aio, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
