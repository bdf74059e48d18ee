"""The windows of all tails: what newest events take of this process's memory."""

from __future__ import annotations

from typing import Protocol

ALL_WINDOWS_BYTES = 64 << 20


class Windowed(Protocol):
    """A tail, which keeps a window of the newest events while it has users."""

    users: int
    window_bytes: int

    def forget(self) -> None:
        """Empty the window."""


class Windows:
    """The windows of all tails: at most so many bytes; those that grew longest ago are emptied."""

    def __init__(self) -> None:
        self._bytes: dict[Windowed, int] = {}
        self._sum = 0

    def grew(self, tail: Windowed) -> None:
        self.left(tail)
        if not tail.users:
            return  # a read that outlived its streams
        self._bytes[tail] = tail.window_bytes
        self._sum += tail.window_bytes
        while self._sum > ALL_WINDOWS_BYTES and len(self._bytes) > 1:
            oldest = next(iter(self._bytes))
            self.left(oldest)
            oldest.forget()

    def left(self, tail: Windowed) -> None:
        self._sum -= self._bytes.pop(tail, 0)
