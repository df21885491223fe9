"""clawrun_spec: what a sandbox is to be."""

from __future__ import annotations

import math
import os

from ._abi import checked, encoded, library, take_text, words
from .types import as_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

    from .types import Arguments, Environment, Files, Setting

DEFAULT_MODE = 0o644


class Spec:
    """Owns a clawrun_spec. One thread at a time, but for copy()."""

    def __init__(self, pointer: Optional[int] = None) -> None:
        self._library = library()
        self._free = self._library.spec_free
        self.pointer = pointer if pointer is not None else self._library.spec_new()
        if self.pointer is None:
            raise MemoryError("libclawrun is out of memory")

    def __del__(self) -> None:
        if getattr(self, "pointer", None) is not None:
            self._free(self.pointer)

    def copy(self) -> Spec:
        pointer = self._library.spec_copy(self.pointer)
        if pointer is None:
            raise MemoryError("libclawrun is out of memory")
        return Spec(pointer)

    def set(self, name: str, value: Setting) -> None:
        for text in setting_words(name, value):
            checked(self._library.spec_set, self.pointer, encoded(setting_name(name)), encoded(text))

    def profile(self, name_or_file: Any) -> None:
        checked(self._library.spec_profile, self.pointer, encoded(name_or_file))

    def command(self, arguments: Arguments) -> None:
        checked(self._library.spec_command, self.pointer, *words(arguments))

    def timeout(self, seconds: Optional[float]) -> None:
        if seconds is not None:
            self.set("timeout", timeout_words(seconds))

    def environment(self, variables: Optional[Environment]) -> None:
        self.set("env", variables)

    def files(self, files: Optional[Files]) -> None:
        for path, data, mode in each_file(files):
            checked(self._library.spec_file, self.pointer, path, data, len(data), mode)

    def problems(self) -> List[Dict[str, str]]:
        import json

        found: List[Dict[str, str]] = json.loads(take_text(checked(self._library.spec_validate, self.pointer)))
        return found

    def plan(self) -> Dict[str, Any]:
        import json

        plan: Dict[str, Any] = json.loads(take_text(checked(self._library.spec_plan, self.pointer)))
        return plan


def setting_name(keyword: str) -> str:
    """cpu_shares is the setting cpu-shares of clawrun-profile(5)."""
    return keyword.replace("_", "-")


def setting_words(name: str, value: Setting) -> Iterator[str]:
    """The value as on the command line: one text for each use of the option."""
    if value is None:
        return
    if isinstance(value, dict) or hasattr(value, "items"):
        if setting_name(name) != "env":
            raise TypeError(f"{name}: a mapping is for env only; give a list of strings")
        for key, text in value.items():
            if "=" in key:
                raise ValueError(f"env: {key!r} is no name of a variable: it has a =")
            yield key if text is None else f"{key}={text}"
    elif isinstance(value, (str, bytes, bool, int, float, os.PathLike)):
        yield _word(name, value)
    else:
        for element in value:
            yield _word(name, element)


def _word(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if name == "timeout" and isinstance(value, (int, float)):
        return timeout_words(value)
    if isinstance(value, float):
        text = f"{value:.5f}".rstrip("0").rstrip(".")
        # What is rounded to 0 would be no limit at all.
        if not math.isfinite(value) or (value != 0 and text == "0"):
            raise ValueError(f"{name}: {value} is no number that a limit can have")
        return text
    if isinstance(value, (int, str)):
        return str(value)
    if isinstance(value, (bytes, os.PathLike)):
        return os.fsdecode(value)
    raise TypeError(f"{name}: a {type(value).__name__} is no setting; give a string, a number or a list of them")


def timeout_words(seconds: float) -> str:
    """Whole milliseconds, rounded up: 0 would be no limit at all."""
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"a time limit of {seconds} s: give more than 0, or None for the sandbox's own")
    return f"{math.ceil(seconds * 1000)}ms"


def each_file(files: Optional[Files]) -> Iterator[Tuple[bytes, bytes, int]]:
    """Path, content and mode of each."""
    for path, content in (files or {}).items():
        data, mode = content if isinstance(content, tuple) else (content, DEFAULT_MODE)
        yield encoded(path), as_bytes(data), mode
