"""Files: those that are read again while a client is open, and those that are written whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from runstore.arguments import InvalidArgument, not_of

READ_AGAIN_SECONDS = 60.0

T = TypeVar("T")


class Reread(Generic[T]):
    """What files say, read again each minute.

    `read` raises `InvalidArgument` for files that cannot be used, and so does `check` for what was
    read from them, if it is new. At first that is raised; later it leaves in place what was read
    before, and `problem` says why.
    """

    def __init__(
        self, read: Callable[[], T], check: Callable[[T], object] = lambda _: None
    ) -> None:
        self._read, self._check = read, check
        self._value = read()
        check(self._value)
        self._read_at = time.monotonic()
        self.problem = ""

    def current(self) -> T:
        """What was read within the last minute; the same object while it does not change."""
        if time.monotonic() - self._read_at >= READ_AGAIN_SECONDS:
            self.look()
        return self._value

    def look(self) -> T:
        """Read now."""
        self._read_at = time.monotonic()
        try:
            value = self._read()
            if value != self._value:
                self._check(value)
                self._value = value
            self.problem = ""
        except InvalidArgument as error:
            self.problem = str(error)
        return self._value


class Writable(Protocol):
    """What bytes are written to, such as a file that was opened with "wb"."""

    def write(self, data: bytes, /) -> object: ...


@contextmanager
def written(target: Writable | PathLike[str]) -> Iterator[Writable]:
    """What to write to; a file appears at its path once it is complete."""
    if not isinstance(target, PathLike):
        if not hasattr(target, "write"):
            raise not_of("a Path or a writable file", target, "target")
        yield target
        return
    path = Path(target)
    partial = path.with_name(f"{path.name}.part")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
