"""Token buckets: how much of something may be used in a second."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


class Bucket:
    """Fills by `rate` a second, up to a second's worth.

    What is more than a second's worth may be taken from a full one, and is owed: whatever comes
    after it waits until that has been made up for.
    """

    __slots__ = ("_clock", "_filled_at", "_level", "_rate")

    def __init__(self, rate: float, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._rate = self._level = rate
        self._filled_at = clock()

    @property
    def is_full(self) -> bool:
        """Whether nothing was taken that has not been made up for."""
        self._fill()
        return self._level == self._rate

    def seconds_until(self, amount: float) -> float:
        """How long it is until so much may be taken; 0 if it may be now."""
        self._fill()
        return max((min(amount, self._rate) - self._level) / self._rate, 0.0)

    def take(self, amount: float) -> None:
        """Take so much, which may make it owe."""
        self._level -= amount

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._level + (now - self._filled_at) * self._rate, self._rate)
        self._filled_at = now
