"""What happens to events after their commit: published, counted, summed, indexed, sent to sinks;
and removed, once policies or people let them go.

None of it is on the write path. While no process does it, events wait in the outbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from math import inf

import structlog
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.feed import (
    BESIDE_THE_FEED,
    EVERY_PROJECT,
    RELAY,
    REMOVALS,
    RETENTION,
    SEARCH,
    STORED_BYTES,
    USAGE_COUNTS,
)
from runstore_storage.contract.signals import Signal
from runstore_storage.contract.store import Store

from runstore_server.relay.delivery import SinkWorkers
from runstore_server.relay.pacing import Pace
from runstore_server.relay.removing import Removing
from runstore_server.relay.worker import DutyWorker
from runstore_server.settings import Settings
from runstore_server.sinks.settings import SinkSettings

# So many seconds of commits are published, counted or indexed in one step: under load, and where
# little is written at a time.
PUBLISH_PAUSES = 0.02, 0.05
COUNT_PAUSES = 0.5, 0.5
# Steps of summing are short, and there are many where a database is scanned that is new to it.
SUM_PAUSES = 0.1, 0.5
SEARCH_PAUSES = 0.1, 0.25
REMOVE_PAUSES = 0.02, 0.02
# How much of the time counting, summing and indexing take, each, while events are being committed.
SHARE = 0.2

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Passes:
    """How often policies of retention are applied, and how long who reads the feed may do nothing
    and still keeps runs.
    """

    seconds: float
    idle: timedelta


class Relay:
    """This process's share of the work on the feed; it applies no policies without `passes`."""

    def __init__(
        self,
        store: Store,
        sinks: Sequence[SinkSettings] = (),
        *,
        poll_seconds: float,
        passes: Passes | None = None,
    ) -> None:
        feed = self._feed = store.feed
        self._publisher = DutyWorker(
            feed,
            RELAY,
            feed.publish,
            feed.committed,
            poll_seconds=poll_seconds,
            pace=Pace(*PUBLISH_PAUSES, feed.wanted, feed.committed),
        )
        counter = DutyWorker(
            feed,
            USAGE_COUNTS,
            feed.count_usage,
            feed.published,
            poll_seconds=poll_seconds,
            pace=Pace(*COUNT_PAUSES, feed.wanted, feed.committed, share=SHARE),
        )
        summer = DutyWorker(
            feed,
            STORED_BYTES,
            feed.sum_stored,
            feed.published,
            poll_seconds=poll_seconds,
            pace=Pace(*SUM_PAUSES, feed.wanted, feed.committed, share=SHARE),
        )
        indexer = DutyWorker(
            feed,
            SEARCH,
            store.search.index_text,
            feed.published,
            poll_seconds=poll_seconds,
            pace=Pace(*SEARCH_PAUSES, feed.wanted, feed.committed, share=SHARE),
        )
        remover = DutyWorker(
            feed,
            REMOVALS,
            Removing(store).step,
            store.removals.decided,
            poll_seconds=poll_seconds,
            pace=_in_spare_time(store),
        )
        self._sinks = SinkWorkers(feed, sinks, poll_seconds=poll_seconds)
        self.workers = (
            self._publisher,
            counter,
            summer,
            indexer,
            remover,
            *([_retainer(store, passes)] if passes else []),
            *self._sinks.workers,
        )
        self.buried = self._sinks.buried
        """How many events this process gave up, by sink."""

    def start(self) -> None:
        """Try to get every duty that no other process holds."""
        for worker in self.workers:
            worker.start()

    async def drain(self) -> None:
        """Return when each duty is done with everything committed before.

        Whichever process does it counts. A sink that is down is waited for: bound the wait.
        """
        await self._feed.drain()
        last = (await self._feed.read_for_duty(EVERY_PROJECT, 1 << 62, limit=1)).last_position
        names = {worker.name for worker in self.workers} - {RELAY} - BESIDE_THE_FEED
        while True:
            mark = self._feed.published.mark
            # A duty that no process has taken yet is not listed: it has reached nothing.
            reached = {duty.name: duty.position for duty in await self._feed.list_duties()}
            if all(reached.get(name, 0) >= last for name in names):
                return
            await self._feed.published.wait(mark, 0.05)

    async def stop(self, patience_seconds: float = 0.0) -> None:
        """Release every duty; first publish what is committed if this process is the publisher."""
        if self._publisher.is_leading and patience_seconds:
            try:
                async with asyncio.timeout(patience_seconds):
                    await self._feed.drain()
            except (TimeoutError, StorageUnavailable):
                _log.warning("events are left in the outbox for another process")
        await asyncio.gather(*(worker.stop() for worker in self.workers))
        await self._sinks.close()


def relay_of(settings: Settings, store: Store) -> Relay:
    """What the settings have a process do."""
    passes = Passes(settings.retention_interval, timedelta(days=settings.consumer_idle_days))
    return Relay(
        store,
        settings.sinks,
        poll_seconds=settings.poll_interval,
        passes=passes if settings.retention else None,
    )


def _retainer(store: Store, passes: Passes) -> DutyWorker:
    """Makes a pass over what policies let go, then waits; nothing hastens the next one."""
    return DutyWorker(
        store.feed,
        RETENTION,
        partial(store.retention.retain, idle=passes.idle),
        Signal(),
        poll_seconds=passes.seconds,
        pace=_in_spare_time(store),
    )


def _in_spare_time(store: Store) -> Pace:
    """The pace of what nobody waits for, however far behind it is."""
    return Pace(
        *REMOVE_PAUSES, store.removals.decided, store.feed.committed, share=SHARE, most_behind=inf
    )
