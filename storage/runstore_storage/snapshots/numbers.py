"""Numbers of new blobs, taken ahead: a manifest names its blobs before they are inserted."""

from __future__ import annotations

from collections.abc import Sequence

from runstore_storage.database.connection import Connection
from runstore_storage.sql import blobs

TAKEN_AT_ONCE = 100


class BlobNumbers:
    """The numbers that this process has taken. Those it does not use stay unused for ever."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self._may_take = True

    async def take(self, conn: Connection, count: int) -> Sequence[int]:
        """So many numbers; none where the role may not take any before it inserts."""
        if self._may_take and len(self._free) < count:
            taken = await blobs.take_numbers(conn, count + TAKEN_AT_ONCE)
            self._free = [*reversed(taken), *self._free]
            self._may_take = bool(taken)
        if len(self._free) < count:
            return ()
        return [self._free.pop() for _ in range(count)]
