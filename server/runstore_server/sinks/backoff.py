"""How long to wait before the next attempt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import random

# A receiver may ask for a pause, but not for one without end.
MAX_RETRY_AFTER_SECONDS = 3600.0
_MAX_DOUBLINGS = 64


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds that double with every attempt up to a ceiling, with jitter."""

    first: float = 0.2
    ceiling: float = 60.0

    def wait(
        self, attempts: int, *, retry_after: float | None = None, chance: float | None = None
    ) -> float:
        """Seconds to wait after `attempts` failed attempts, at least one.

        The wait is between half of the doubled first wait and all of it, by `chance` in 0..1, which
        is random by default. A wait that the receiver asked for is kept in full, and made up to a
        tenth longer.
        """
        share = random() if chance is None else chance  # noqa: S311 - spreads load, guards nothing
        full = min(self.ceiling, self.first * 2.0 ** min(attempts - 1, _MAX_DOUBLINGS))
        own = full * (1 + share) / 2
        if retry_after is None:
            return own
        return max(own, min(retry_after, MAX_RETRY_AFTER_SECONDS) * (1 + share / 10))


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for, as a number or as an HTTP date, else None.

    At least 0 and at most `MAX_RETRY_AFTER_SECONDS`.
    """
    asked = _asked_seconds(header.strip(), now) if header else None
    if asked is None or not math.isfinite(asked):
        return None
    return min(max(asked, 0.0), MAX_RETRY_AFTER_SECONDS)


def _asked_seconds(text: str, now: datetime) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:  # "-0000": UTC, of an unknown zone
        until = until.replace(tzinfo=UTC)
    return (until - now).total_seconds()
