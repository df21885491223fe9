"""What is returned: plain values."""

from __future__ import annotations

from .errors import NonzeroExit, SandboxOOM, SandboxTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any, Dict, Iterable, Mapping, Optional, Sequence, Tuple, Union

    Argument = Union[str, bytes, "os.PathLike[str]"]
    Arguments = Sequence[Argument]
    Data = Union[str, bytes, bytearray, memoryview]
    #: Content, or content and permission bits.
    Files = Mapping[str, Union[Data, Tuple[Data, int]]]
    Environment = Mapping[str, Optional[str]]
    Setting = Union[None, bool, int, float, str, "os.PathLike[str]", Iterable[Union[str, int]], Environment]


class Result:
    """How a command ended, and what it wrote."""

    __slots__ = ("status", "exit_code", "signal", "reason", "stdout_bytes", "stderr_bytes", "stdout_lost_bytes",
                 "stderr_lost_bytes", "wall_us", "cpu_us", "memory_peak_bytes", "report_json")

    status: str  #: "exited", "signaled", "timeout" or "oom"
    exit_code: int  #: the command's; 128+N for signal N, 124 for a timeout
    signal: Optional[int]  #: that ended it
    reason: str  #: a sentence where the status does not say it all, or ""
    stdout_bytes: bytes
    stderr_bytes: bytes
    stdout_lost_bytes: int  #: thrown away beyond the setting max-output, 16 MiB where it is not set
    stderr_lost_bytes: int
    wall_us: int
    cpu_us: int
    memory_peak_bytes: int
    report_json: str

    def __init__(self, **fields: Any) -> None:
        for name in self.__slots__:
            setattr(self, name, fields[name])

    @property
    def stdout(self) -> str:
        """As UTF-8; what is none becomes U+FFFD."""
        return self.stdout_bytes.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        return self.stderr_bytes.decode("utf-8", "replace")

    @property
    def stdout_truncated(self) -> bool:
        return self.stdout_lost_bytes > 0

    @property
    def stderr_truncated(self) -> bool:
        return self.stderr_lost_bytes > 0

    @property
    def ok(self) -> bool:
        return self.status == "exited" and self.exit_code == 0

    @property
    def report(self) -> Dict[str, Any]:
        """The object of `clawrun exec --report`, with everything that was measured."""
        import json

        report: Dict[str, Any] = json.loads(self.report_json)
        return report

    def check_limits(self) -> Result:
        """Raises SandboxTimeout or SandboxOOM where a limit ended the command."""
        if self.status == "timeout":
            limit_ms = self.report["limits"].get("timeout_ms")
            raise SandboxTimeout(f"the command was ended at its time limit of {limit_ms} ms", self)
        if self.status == "oom":
            limit_bytes = self.report["limits"].get("memory_bytes")
            limit = f"it used up its memory of {limit_bytes} bytes" if limit_bytes else "the host ran out of memory"
            raise SandboxOOM(f"the kernel killed the command: {limit}", self)
        return self

    def check(self) -> Result:
        """Raises where the command did not exit with 0."""
        self.check_limits()
        if not self.ok:
            how = f"exited with {self.exit_code}" if self.status == "exited" else f"was ended by signal {self.signal}"
            last = self.stderr_bytes[-2000:].decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise NonzeroExit(f"the command {how}" + (f": {last}" if last else ""), self)
        return self

    def __repr__(self) -> str:
        return (f"Result(status={self.status!r}, exit_code={self.exit_code}, stdout={_short(self.stdout_bytes)}, "
                f"stderr={_short(self.stderr_bytes)})")


class FileEntry:
    """One entry of a directory in the work directory."""

    __slots__ = ("name", "type", "size_bytes", "mode", "mtime_ms")

    def __init__(self, name: str, type: str, size_bytes: int, mode: int, mtime_ms: int) -> None:
        self.name = name
        self.type = type  #: "file", "directory", "symlink" or "other"
        self.size_bytes = size_bytes
        self.mode = mode  #: permission bits
        self.mtime_ms = mtime_ms

    def __repr__(self) -> str:
        return f"FileEntry({self.name!r}, {self.type!r}, {self.size_bytes} bytes, {self.mode:#o})"


def _short(data: bytes) -> str:
    most = 60
    return repr(data) if len(data) <= most else f"{data[:most]!r}... ({len(data)} bytes)"


def as_bytes(data: Data) -> bytes:
    return data.encode("utf-8", "surrogateescape") if isinstance(data, str) else bytes(data)
