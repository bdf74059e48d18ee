"""How often work on the feed is done, and how much of the time it may take while events come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

from runstore_storage.contract.signals import Watchable

# Where a step did no more than this, the next one would do as little.
LITTLE = 4
# Where no event was committed for so long, none waits for the processor or the database.
QUIET_SECONDS = 0.05
# However long a step took: callers that began to wait before it wait for the next one, too.
MOST_REST_SECONDS = 1.0
# Work that is further behind takes all the time that it needs.
MOST_BEHIND_SECONDS = 10.0


class Begun(NamedTuple):
    """When a step began, and the marks of a `Pace`'s signals then."""

    at: float
    wanted: int
    committed: int


@dataclass(frozen=True, slots=True)
class Pace:
    """When a step is followed by the next one.

    A step begins `usual` seconds after the one before, `after_little` if that did hardly anything:
    work that arrives meanwhile is done in one step, fewer and larger ones. While events are being
    `committed`, steps take `share` of the time, more if they are long, and catch up when none are;
    unless the work is `most_behind` seconds behind. `wanted` wakes when someone waits for the work.
    """

    usual: float
    after_little: float
    wanted: Watchable
    committed: Watchable
    share: float = 1.0
    most_behind: float = MOST_BEHIND_SECONDS

    def begin(self) -> Begun:
        """Note that a step begins."""
        return Begun(time.monotonic(), self.wanted.mark, self.committed.mark)

    async def rest(self, begun: Begun, done: int, lag_seconds: float) -> None:
        """Wait for the next step, unless someone has waited since the last one began."""
        ended = time.monotonic()
        pause = self.usual if done > LITTLE else self.after_little
        if await self._is_wanted(begun, begun.at + pause):
            return
        next_at = ended + min((ended - begun.at) * (1 / self.share - 1), MOST_REST_SECONDS)
        seen = begun.committed
        while self.committed.mark != seen and lag_seconds < self.most_behind:
            seen, now = self.committed.mark, time.monotonic()
            if now >= next_at or await self._is_wanted(begun, min(next_at, now + QUIET_SECONDS)):
                return

    async def _is_wanted(self, begun: Begun, until: float) -> bool:
        """Wait for someone who waits, until then."""
        left = until - time.monotonic()
        return left > 0 and await self.wanted.wait(begun.wanted, left)
