"""How many appends wait in one place, and how many bytes their payloads have: both are bounded.

One project may fill the place while no other waits there. While others do, it may hold a quarter;
so that another can join a full place, those that hold less may go a quarter beyond the bound.
"""

from __future__ import annotations

from runstore_storage.contract.errors import Overloaded
from runstore_storage.contract.scope import Scope

MAX_WAITING_APPENDS = 20_000
MAX_WAITING_BYTES = 256 << 20
SHARE = 0.25
RETRY_AFTER_SECONDS = 0.2


class Waiting:
    """Appends that wait, and their bytes."""

    __slots__ = ("appends", "bytes")

    def __init__(self) -> None:
        self.appends = self.bytes = 0

    def has_room(self, size: int, part: float) -> bool:
        """Whether another append of so many bytes leaves it within a part of the bounds."""
        most_appends, most_bytes = MAX_WAITING_APPENDS * part, MAX_WAITING_BYTES * part
        return self.appends < most_appends and self.bytes + size <= most_bytes


class Backlog:
    """The appends that wait, all of them and those of each project."""

    def __init__(self) -> None:
        self._all = Waiting()
        self._of: dict[Scope, Waiting] = {}
        """Those of the projects that have any."""

    def add(self, scope: Scope, size: int) -> None:
        """Count an append of so many bytes; raise `Overloaded` if it is one too many."""
        own, everything = self._of.get(scope), self._all
        is_alone = len(self._of) <= (own is not None)
        if not everything.has_room(size, 1.0 if is_alone else 1.0 + SHARE):
            raise Overloaded(RETRY_AFTER_SECONDS)
        if not is_alone and own and not own.has_room(size, SHARE):
            raise Overloaded(RETRY_AFTER_SECONDS)
        if own is None:
            own = self._of[scope] = Waiting()
        own.appends += 1
        own.bytes += size
        everything.appends += 1
        everything.bytes += size

    def remove(self, scope: Scope, size: int) -> None:
        """Count an append no more."""
        own, everything = self._of[scope], self._all
        own.appends -= 1
        own.bytes -= size
        everything.appends -= 1
        everything.bytes -= size
        if not own.appends:
            del self._of[scope]
