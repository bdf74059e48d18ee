"""Delivering as the feed's reader does: again and again, until everything is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from runstore_server.sinks.backoff import Backoff
from runstore_server.sinks.sink import Sink, Undelivered
from runstore_storage.contract.feed import FeedEntry

BATCH = 100


async def deliver_until_taken(
    sink: Sink,
    entries: Sequence[FeedEntry],
    *,
    on_failure: Callable[[Undelivered], None] = lambda failure: None,
) -> None:
    """Deliver batch after batch, repeating what is undelivered before anything after it."""
    backoff = Backoff(first=0.02, ceiling=0.2)
    for start in range(0, len(entries), BATCH):
        left = list(entries[start : start + BATCH])
        tries = 0
        while left:
            outcomes = await sink.deliver(left)
            failures = [outcome for outcome in outcomes if outcome]
            left = [each for each, failed in zip(left, outcomes, strict=True) if failed]
            if not failures:
                break
            for failure in failures:
                on_failure(failure)
            tries = tries + 1 if len(failures) == len(outcomes) else 1
            asked = max((failure.retry_after or 0 for failure in failures), default=0)
            await asyncio.sleep(backoff.wait(tries, retry_after=asked))
