"""Files that are read again while a client is open."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from runstore.arguments import InvalidArgument

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
