"""One run's entries in line, many runs side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from runstore_storage.contract.feed import FeedEntry

from runstore_server.sinks.sink import Undelivered

Attempt = Callable[[FeedEntry], Awaitable[None]]


async def deliver_in_lanes(
    entries: Sequence[FeedEntry], attempt: Attempt, *, width: int
) -> list[Undelivered | None]:
    """Attempt each entry, at most `width` at once, and return the outcomes in order.

    A run's entries are attempted one after the other. When one raises `Undelivered`, that is its
    outcome and the later ones of its run are not attempted. Anything else raised is a defect, and
    ends the whole.
    """
    outcomes: list[Undelivered | None] = [None] * len(entries)
    lanes = _lanes(entries)
    waiting = iter(lanes)

    async def work(lanes: Iterator[list[int]]) -> None:
        for lane in lanes:
            await _walk(lane, entries, attempt, outcomes)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(width, len(lanes))):
            group.create_task(work(waiting))
    return outcomes


def _lanes(entries: Sequence[FeedEntry]) -> list[list[int]]:
    """The entries' places, a list for each run."""
    lanes: dict[tuple[str, str], list[int]] = {}
    for place, entry in enumerate(entries):
        lanes.setdefault((entry.project, entry.run_id), []).append(place)
    return list(lanes.values())


async def _walk(
    lane: list[int],
    entries: Sequence[FeedEntry],
    attempt: Attempt,
    outcomes: list[Undelivered | None],
) -> None:
    stopped: Undelivered | None = None
    for place in lane:
        if stopped:
            outcomes[place] = _behind(stopped)
            continue
        try:
            await attempt(entries[place])
        except Undelivered as error:
            stopped = outcomes[place] = error


def _behind(stopped: Undelivered) -> Undelivered:
    return Undelivered(
        "an earlier event of the run is undelivered",
        retry_after=stopped.retry_after,
        is_attempted=False,
    )
