"""Token buckets: how much of something may be used in a second."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]


class Bucket:
    """Fills by `rate` a second, up to a second's worth.

    Whoever finds one left may take any amount. What is more than was left is owed: whatever comes
    next waits until that has been made up for. So large amounts pass, too, however many small ones
    are taken meanwhile, and no more is taken in the long run than was filled.
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

    def seconds_until_next(self) -> float:
        """How long it is until something may be taken; 0 if it may be now."""
        self._fill()
        return max((1.0 - self._level) / self._rate, 0.0)

    def take(self, amount: float) -> None:
        """Take so much, which may make it owe."""
        self._level -= amount

    def _fill(self) -> None:
        now = self._clock()
        self._level = min(self._level + (now - self._filled_at) * self._rate, self._rate)
        self._filled_at = now
