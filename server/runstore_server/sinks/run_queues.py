"""Entries of one run are delivered in order, those of different runs side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from runstore_storage.contract.feed import FeedEntry

from runstore_server.sinks.sink import Undelivered

Attempt = Callable[[FeedEntry], Awaitable[None]]


async def deliver_in_run_queues(
    entries: Sequence[FeedEntry], attempt: Attempt, *, concurrency: int
) -> list[Undelivered | None]:
    """Attempt each entry, at most `concurrency` at once, and return the outcomes in order.

    The entries of a run are attempted one after the other. When one raises `Undelivered`, that is
    its outcome, and the later ones of its run are not attempted. Any other exception is a defect:
    it ends the whole delivery.
    """
    outcomes: list[Undelivered | None] = [None] * len(entries)
    queues = _run_queues(entries)
    waiting = iter(queues)

    async def work(queues: Iterator[list[int]]) -> None:
        for queue in queues:
            await _deliver_queue(queue, entries, attempt, outcomes)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(queues))):
            group.create_task(work(waiting))
    return outcomes


def _run_queues(entries: Sequence[FeedEntry]) -> list[list[int]]:
    """The indexes of the entries, a list for each run."""
    queues: dict[tuple[str, str], list[int]] = {}
    for index, entry in enumerate(entries):
        queues.setdefault((entry.project, entry.run_id), []).append(index)
    return list(queues.values())


async def _deliver_queue(
    queue: list[int],
    entries: Sequence[FeedEntry],
    attempt: Attempt,
    outcomes: list[Undelivered | None],
) -> None:
    failed: Undelivered | None = None
    for index in queue:
        if failed:
            outcomes[index] = _not_attempted(failed)
            continue
        try:
            await attempt(entries[index])
        except Undelivered as error:
            failed = outcomes[index] = error


def _not_attempted(failed: Undelivered) -> Undelivered:
    return Undelivered(
        "an earlier event of the run is undelivered",
        retry_after=failed.retry_after,
        is_attempted=False,
    )
