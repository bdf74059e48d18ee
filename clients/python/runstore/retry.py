"""When a failed call is retried: one policy for the whole client.

Every write carries ids made by the client, so a write whose response was lost can be repeated. Only
failures that a later attempt may not have are retried.
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
        """How long to wait after `attempt` (1, 2, ...) failed; None if it must not be retried."""
        if not isinstance(error, Unavailable | Overloaded):
            return None
        ceiling = min(self.most, self.first * self.factor ** min(attempt - 1, 16))
        jittered = ceiling * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, hides nothing
        return max(jittered, error.retry_after or 0.0)


class Patience:
    """How long a stream is reopened while attempts keep failing.

    Time counts from the first failure after a success: a caller that is slow between two messages
    uses none of it.
    """

    def __init__(self, seconds: float, backoff: Backoff) -> None:
        self._seconds = seconds
        self._backoff = backoff
        self._failures = 0
        self._failing_since = 0.0

    def renew(self) -> None:
        """Forget earlier failures: the stream made progress, or was not needed."""
        self._failures = 0

    def delay(self, error: RunstoreError) -> float | None:
        """How long to wait before the stream is reopened; None to give up."""
        now = time.monotonic()
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        is_used_up = now - self._failing_since > self._seconds
        return None if is_used_up else self._backoff.delay(self._failures, error)
