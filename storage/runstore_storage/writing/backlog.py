"""How many appends wait in one place, and how many bytes their payloads have: both are bounded."""

from __future__ import annotations

from runstore_storage.contract.errors import Overloaded

MAX_WAITING_APPENDS = 20_000
MAX_WAITING_BYTES = 256 << 20
RETRY_AFTER_SECONDS = 0.2


class Backlog:
    """The appends that wait, and their bytes."""

    def __init__(self) -> None:
        self._appends = 0
        self._bytes = 0

    def add(self, size: int) -> None:
        """Count an append of so many bytes; raise `Overloaded` if it is one too many."""
        if self._appends >= MAX_WAITING_APPENDS or self._bytes + size > MAX_WAITING_BYTES:
            raise Overloaded(RETRY_AFTER_SECONDS)
        self._appends += 1
        self._bytes += size

    def remove(self, appends: int, size: int) -> None:
        """Count no more so many appends, which have so many bytes together."""
        self._appends -= appends
        self._bytes -= size
