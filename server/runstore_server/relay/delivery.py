"""Delivers the feed to a sink, from the position that the sink is known to have reached."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import structlog
from runstore_storage.contract.feed import (
    EVERY_PROJECT,
    DeadLetter,
    FeedEntry,
    FeedFilter,
    FeedPage,
    FeedStore,
    sink_duty,
)

from runstore_server.relay.worker import DutyWorker
from runstore_server.sinks.backoff import Backoff
from runstore_server.sinks.opening import open_sink
from runstore_server.sinks.settings import SinkSettings
from runstore_server.sinks.sink import Sink, Undelivered

BATCH_ENTRIES = 256
MAX_ERROR_CHARACTERS = 1000
PAYLOAD_LOST = "the payload is lost"
NO_POSITION = 0  # positions begin at 1

_log = structlog.get_logger(__name__)


class Delivery:
    """Delivers to one sink; each step finishes one page.

    After a crash an entry may be delivered again; none is skipped. An entry that the sink refuses
    too often becomes a dead letter, and delivery continues after it.
    """

    def __init__(
        self, feed: FeedStore, settings: SinkSettings, sink: Sink, buried: Counter[str]
    ) -> None:
        """`buried` counts the dead letters of each sink."""
        self._buried = buried
        self._feed = feed
        self._settings = settings
        self._sink = sink
        self._duty = sink_duty(sink.name)
        self._backoff = Backoff()

    async def step(self, holder: str) -> int | None:
        """Deliver the next page; return its number of positions, None when the duty was lost."""
        position = await self._feed.hold_duty(self._duty, holder)
        if position is None:
            return None
        page = await self._feed.read_for_duty(
            self._settings.project or EVERY_PROJECT,
            position + 1,
            limit=BATCH_ENTRIES,
            where=FeedFilter(
                self._settings.types, self._settings.tags, dict(self._settings.labels)
            ),
        )
        reached = page.next_position - 1
        if reached > position and not await self._deliver(page, holder):
            return None
        return reached - position

    async def _deliver(self, page: FeedPage, holder: str) -> bool:
        """Deliver or bury every entry; return False when the duty was lost meanwhile."""
        lost = [each for each in page.entries if each.is_payload_lost]
        if lost and not await self._bury(holder, [self._lost(each) for each in lost]):
            return False
        pending = tuple(each for each in page.entries if not each.is_payload_lost)
        attempts: dict[int, int] = {}
        while True:
            outcomes = await self._sink.deliver(pending) if pending else []
            wait = self._count(pending, outcomes, attempts)
            letters = self._letters(pending, outcomes, attempts)
            if letters and not await self._bury(holder, letters):
                return False
            buried = {letter.position for letter in letters}
            pending = tuple(
                entry
                for entry, outcome in zip(pending, outcomes, strict=True)
                if outcome and entry.position not in buried
            )
            reached = (pending[0].position if pending else page.next_position) - 1
            if await self._feed.advance_duty(self._duty, holder, reached) is None:
                return False
            if not pending:
                return True
            await asyncio.sleep(wait)

    async def _bury(self, holder: str, letters: Sequence[DeadLetter]) -> bool:
        """Store and count dead letters; return False when the duty was lost meanwhile."""
        if await self._feed.bury(holder, letters) is None:
            return False
        self._buried[self._sink.name] += len(letters)
        return True

    def _lost(self, entry: FeedEntry) -> DeadLetter:
        """The dead letter of an entry that can no longer be sent as it was recorded."""
        return DeadLetter(self._sink.name, entry.position, 0, PAYLOAD_LOST)

    def _count(
        self,
        entries: Sequence[FeedEntry],
        outcomes: Sequence[Undelivered | None],
        attempts: dict[int, int],
    ) -> float:
        """Count the failed attempts; return the seconds to wait before the next."""
        wait = 0.0
        for entry, outcome in zip(entries, outcomes, strict=True):
            if outcome and outcome.is_attempted:
                count = attempts[entry.position] = attempts.get(entry.position, 0) + 1
                wait = max(wait, self._backoff.wait(count, retry_after=outcome.retry_after))
                _log.warning(
                    "not delivered",
                    sink=self._sink.name,
                    position=entry.position,
                    attempt=count,
                    error=str(outcome),
                )
        held_back = [outcome for outcome in outcomes if outcome]
        if held_back and not any(outcome.is_attempted for outcome in held_back):
            wait = self._count_held_back(held_back, attempts)
        return wait

    def _count_held_back(self, outcomes: Sequence[Undelivered], attempts: dict[int, int]) -> float:
        """As `_count`, for entries of which none was sent: they are counted together."""
        count = attempts[NO_POSITION] = attempts.get(NO_POSITION, 0) + 1
        asked = [outcome.retry_after for outcome in outcomes if outcome.retry_after is not None]
        _log.warning("nothing sent", sink=self._sink.name, attempt=count, error=str(outcomes[0]))
        return self._backoff.wait(count, retry_after=max(asked, default=None))

    def _letters(
        self,
        entries: Sequence[FeedEntry],
        outcomes: Sequence[Undelivered | None],
        attempts: dict[int, int],
    ) -> list[DeadLetter]:
        """The dead letters of entries that are given up."""
        most = self._sink.max_attempts
        return [
            DeadLetter(
                self._sink.name,
                entry.position,
                attempts[entry.position],
                str(outcome)[:MAX_ERROR_CHARACTERS],
            )
            for entry, outcome in zip(entries, outcomes, strict=True)
            if outcome
            and outcome.is_attempted
            and (outcome.is_final or (most is not None and attempts[entry.position] >= most))
        ]


class SinkWorkers:
    """The configured sinks, with a worker for each."""

    def __init__(
        self, feed: FeedStore, sinks: Sequence[SinkSettings], *, poll_seconds: float
    ) -> None:
        self._sinks = [open_sink(settings) for settings in sinks]
        self.buried = Counter({sink.name: 0 for sink in self._sinks})
        """How many events this process gave up, by sink."""
        self.workers = [
            DutyWorker(
                feed,
                sink_duty(sink.name),
                Delivery(feed, settings, sink, self.buried).step,
                feed.published,
                poll_seconds=poll_seconds,
            )
            for settings, sink in zip(sinks, self._sinks, strict=True)
        ]

    async def close(self) -> None:
        """Close the sinks' connections, after their workers have stopped."""
        for sink in self._sinks:
            await sink.close()
