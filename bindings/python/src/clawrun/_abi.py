"""libclawrun's C ABI: where the library is, and the types of its functions (clawrun.h, pool.h)."""

from __future__ import annotations

import ctypes
import os
from ctypes import CDLL, POINTER, Structure, byref, c_char_p, c_int, c_int64, c_size_t, c_uint, c_uint64, c_void_p

from .errors import LibraryError, SetupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Type, Union

SONAME = "libclawrun.so.0"
VARIABLE = "CLAWRUN_LIBRARY"
VERSIONS = "0.1 or later, below 1"

# Modes of a stream, and statuses of an outcome by number.
INHERIT, NULL, PIPE, CAPTURE, FD = range(5)
STATUSES = ("exited", "signaled", "timeout", "oom")


class Stream(Structure):
    _fields_ = [("mode", c_int), ("fd", c_int)]


class PoolStats(Structure):
    _fields_ = [(name, c_uint64) for name in (
        "size", "ready", "filling", "hits", "misses", "waited", "starved", "made", "died", "failed", "shrunk",
        "refill_us_total", "refill_us_max")]


# A pointer to the error that a failing function gives; NULL there is want of memory.
_ERROR = POINTER(c_void_p)
_OUT = POINTER(c_void_p)
_WORDS = POINTER(c_char_p)

# Text that is returned for us to free is a c_void_p: ctypes would copy a c_char_p and lose the address.
_FUNCTIONS = (
    ("version", c_char_p),
    ("string_free", None, c_void_p),
    ("data_free", None, c_void_p),
    ("spec_new", c_void_p),
    ("spec_copy", c_void_p, c_void_p),
    ("spec_free", None, c_void_p),
    ("spec_set", c_int, c_void_p, c_char_p, c_char_p, _ERROR),
    ("spec_profile", c_int, c_void_p, c_char_p, _ERROR),
    ("spec_command", c_int, c_void_p, c_size_t, _WORDS, _ERROR),
    ("spec_file", c_int, c_void_p, c_char_p, c_char_p, c_size_t, c_uint, _ERROR),
    ("spec_validate", c_void_p, c_void_p, _ERROR),
    ("spec_plan", c_void_p, c_void_p, _ERROR),
    ("spawn", c_int, c_void_p, POINTER(Stream), _OUT, _ERROR),
    ("sandbox_fd", c_int, c_void_p),
    ("sandbox_process", c_int, c_void_p, _ERROR),
    ("sandbox_kill", c_int, c_void_p, c_int, _ERROR),
    ("sandbox_outcome", c_void_p, c_void_p),
    ("sandbox_id", c_char_p, c_void_p),
    ("sandbox_pidfd", c_int, c_void_p),
    ("sandbox_take_stream", c_int, c_void_p, c_int),
    ("sandbox_output", c_void_p, c_void_p, c_int, POINTER(c_size_t)),
    ("sandbox_output_lost", c_uint64, c_void_p, c_int),
    ("sandbox_free", None, c_void_p),
    ("put_file", c_int, c_void_p, c_char_p, c_char_p, c_size_t, c_uint, _ERROR),
    ("get_file", c_int, c_void_p, c_char_p, c_size_t, _OUT, POINTER(c_size_t), _ERROR),
    ("list", c_void_p, c_void_p, c_char_p, _ERROR),
    ("outcome_status", c_int, c_void_p),
    ("outcome_exit_code", c_int, c_void_p),
    ("outcome_signal", c_int, c_void_p),
    ("outcome_reason", c_char_p, c_void_p),
    ("outcome_wall_us", c_uint64, c_void_p),
    ("outcome_cpu_us", c_uint64, c_void_p),
    ("outcome_memory_peak_bytes", c_uint64, c_void_p),
    ("outcome_json", c_char_p, c_void_p),
    ("error_message", c_char_p, c_void_p),
    ("error_exit_code", c_int, c_void_p),
    ("error_errno", c_int, c_void_p),
    ("error_free", None, c_void_p),
)

_POOL_FUNCTIONS = (
    ("pool_options_new", c_void_p),
    ("pool_options_free", None, c_void_p),
    ("pool_options_set", c_int, c_void_p, c_char_p, c_char_p, _ERROR),
    ("pool_open", c_int, c_void_p, c_void_p, _OUT, _ERROR),
    ("pool_close", None, c_void_p),
    ("pool_wait_ready", c_int, c_void_p, c_uint64, c_int64, _ERROR),
    ("pool_resize", c_int, c_void_p, c_uint64, _ERROR),
    ("pool_get_stats", None, c_void_p, POINTER(PoolStats)),
    ("pool_stats_prometheus", c_void_p, c_void_p, c_char_p),
    ("pool_claim", c_int, c_void_p, c_void_p, POINTER(Stream), _OUT, _ERROR),
    ("claim_new", c_void_p),
    ("claim_free", None, c_void_p),
    ("claim_command", c_int, c_void_p, c_size_t, _WORDS, _ERROR),
    ("claim_code", c_int, c_void_p, c_char_p, c_size_t, _ERROR),
    ("claim_env", c_int, c_void_p, c_char_p, _ERROR),
    ("claim_file", c_int, c_void_p, c_char_p, c_char_p, c_size_t, c_uint, _ERROR),
    ("claim_set", c_int, c_void_p, c_char_p, c_char_p, _ERROR),
)


class Library:
    """The loaded library: each function without its prefix `clawrun_`, with its types set."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._cdll = CDLL(path)
        except OSError as error:
            raise LibraryError(
                f"libclawrun cannot be loaded: {error}; install it (meson install -C build, then ldconfig), or name the file "
                f"in {VARIABLE}") from None
        self._bind(_FUNCTIONS[:1])
        version = self.version().decode()
        if not is_supported(version):
            raise LibraryError(f"{path} is libclawrun {version}, and this package needs {VERSIONS}")
        self._bind(_FUNCTIONS)
        self.has_pools = hasattr(self._cdll, "clawrun_pool_open")
        if self.has_pools:
            self._bind(_POOL_FUNCTIONS)

    def _bind(self, functions: Any) -> None:
        for name, result, *arguments in functions:
            try:
                function = getattr(self._cdll, "clawrun_" + name)
            except AttributeError:
                raise LibraryError(f"{self.path} has no function clawrun_{name}: it is not libclawrun {VERSIONS}") from None
            function.restype = result
            function.argtypes = arguments
            setattr(self, name, function)

    def require_pools(self) -> None:
        if not self.has_pools:
            raise LibraryError(f"{self.path} (libclawrun {self.version().decode()}) has no pools: use Sandbox, or a later version")

    if TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any: ...


def is_supported(version: str) -> bool:
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    return major == "0" and minor.isdigit() and int(minor) >= 1


_library = None


def library() -> Library:
    """Loaded on first use, so that importing the package needs no library."""
    global _library
    if _library is None:
        # The loader looks where ctypes.util.find_library would, without starting ldconfig and a compiler to ask.
        _library = Library(os.environ.get(VARIABLE) or SONAME)
    return _library


def checked(function: Callable[..., Any], *arguments: Any, error_type: Type[SetupError] = SetupError) -> Any:
    """Calls a function whose last parameter is the error, and raises that."""
    error = c_void_p()
    result = function(*arguments, byref(error))
    if result is None or result == -1:
        raise _taken(error, error_type)
    return result


def _taken(error: c_void_p, error_type: Type[SetupError]) -> Exception:
    abi = library()
    try:
        if not error:
            return MemoryError("libclawrun is out of memory")
        return error_type(abi.error_message(error).decode("utf-8", "replace"), abi.error_exit_code(error), abi.error_errno(error))
    finally:
        abi.error_free(error)


def take_text(address: int) -> str:
    """Text that is ours to free."""
    try:
        return ctypes.string_at(address).decode("utf-8", "replace")
    finally:
        library().string_free(address)


def encoded(text: Union[str, bytes, os.PathLike[str]]) -> bytes:
    """As a C string. ctypes would cut it off at a NUL byte without a word."""
    plain = os.fspath(text)
    data = plain.encode("utf-8", "surrogateescape") if isinstance(plain, str) else plain
    if b"\0" in data:
        raise ValueError(f"{plain!r:.80} has a NUL byte, which no argument, path or setting can have")
    return data


def words(arguments: Any) -> Any:
    """A size and an array of C strings."""
    if isinstance(arguments, (str, bytes)):
        raise TypeError(f"{arguments!r:.80}: a command is a list of its words, such as ['sh', '-c', {arguments!r:.80}]")
    texts = [encoded(argument) for argument in arguments]
    return len(texts), (c_char_p * len(texts))(*texts)
