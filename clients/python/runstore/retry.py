"""When a failed call is tried again: one policy for all of the client.

Every write carries ids made by the client, so a write whose answer was lost can be repeated; only
failures that a later try may mend are.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from runstore.errors import Overloaded, RunstoreError, Unavailable


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays with jitter, in seconds."""

    first: float = 0.05
    factor: float = 2.0
    most: float = 2.0

    def delay(self, attempt: int, error: RunstoreError) -> float | None:
        """How long to wait before the try after `attempt` (1, 2, ...); None means do not."""
        if not isinstance(error, Unavailable | Overloaded):
            return None
        ceiling = min(self.most, self.first * self.factor ** min(attempt - 1, 16))
        jittered = ceiling * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, hides nothing
        return max(jittered, error.retry_after or 0.0)


class Patience:
    """Failures in a row of a stream that has to go on.

    Time counts from the first failure after a success: a caller who is slow between two messages
    uses none of it up.
    """

    def __init__(self, seconds: float, backoff: Backoff) -> None:
        self._seconds = seconds
        self._backoff = backoff
        self._failures = 0
        self._failing_since = 0.0

    def renew(self) -> None:
        """Forget the failures: the stream went on, or nobody waits for it."""
        self._failures = 0

    def delay(self, error: RunstoreError) -> float | None:
        """How long to wait before the stream is opened again; None when it is given up."""
        now = time.monotonic()
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        is_used_up = now - self._failing_since > self._seconds
        return None if is_used_up else self._backoff.delay(self._failures, error)
