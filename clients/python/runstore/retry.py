"""When a failed call is tried again: one policy for all of the client.

Every write carries ids made by the client, so a write whose answer was lost can be repeated; only
failures that a later try may mend are.
"""

from __future__ import annotations

import random
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
