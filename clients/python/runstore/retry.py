"""When a failed call is retried: one policy for the whole client.

Every write carries ids made by the client, so a write whose response was lost can be repeated. Only
failures that a later attempt may not have are retried, and refusals of a token that was replaced.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from runstore.errors import MAY_PASS, DeadlineExceeded, RunstoreError


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays with jitter, in seconds."""

    first: float = 0.05
    factor: float = 2.0
    most: float = 2.0

    def delay(self, attempt: int, error: RunstoreError) -> float | None:
        """How long to wait after `attempt` (1, 2, ...) failed; None if it must not be retried."""
        if error.token_was_replaced:
            return 0.0
        if not isinstance(error, MAY_PASS):
            return None
        ceiling = min(self.most, self.first * self.factor ** min(attempt - 1, 16))
        jittered = ceiling * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, hides nothing
        return max(jittered, error.retry_after or 0.0)


class Attempts:
    """The attempts of one call, within its timeout."""

    def __init__(self, timeout: float, backoff: Backoff) -> None:
        self._started = time.monotonic()
        self._deadline = self._started + timeout
        self._backoff = backoff
        self._made = 0
        self._cause: RunstoreError | None = None

    @property
    def seconds(self) -> float:
        """How long the call has taken so far."""
        return time.monotonic() - self._started

    def begin(self) -> float:
        """The seconds that the next attempt may take."""
        self._made += 1
        return max(self._deadline - time.monotonic(), 0.001)

    def failed(self, error: RunstoreError) -> tuple[RunstoreError, float | None]:
        """What made the call fail, and how long to wait for another attempt; None to give up.

        An attempt that is cut short by the deadline says nothing; the one before it does.
        """
        if isinstance(error, DeadlineExceeded) and self._cause:
            return self._cause, None
        self._cause = error
        delay = self._backoff.delay(self._made, error)
        is_late = delay is not None and time.monotonic() + delay > self._deadline
        return error, None if is_late else delay


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
