"""Group commit: appends that arrive together are committed together.

Appends queue in lanes, a run always in the same one, so the appends of a run keep their order. Each
lane commits one batch at a time; appends that arrive meanwhile form the next batch. Each append of
a batch is decided by itself: a refusal fails that append and no other.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, islice

from runstore_storage.contract.errors import RunNotFound, StorageError, StorageUnavailable
from runstore_storage.contract.events import AppendResult, Event, NewAppend, RecordedEvent
from runstore_storage.contract.heads import NO_GUARD, Guard, RunKey
from runstore_storage.contract.scope import ScopedKey, current_scope, scoped
from runstore_storage.database.connections import Connections
from runstore_storage.database.engine import Database, writing
from runstore_storage.database.failures import is_rolled_back
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.prepared_events import PreparedEvent, bytes_of, prepare_events
from runstore_storage.run_write import KnownEvents, RunWrite, find_known, lock_runs, store
from runstore_storage.salts import Salts
from runstore_storage.writing.lanes import Append, Lane
from runstore_storage.writing.offload_queue import OffloadQueue
from runstore_storage.writing.optimistic import NOTHING_STORED, Optimistic

MAX_ATTEMPTS = 5

_log = logging.getLogger(__name__)

Decision = AppendResult | StorageError
Decided = tuple[Sequence[Decision], Collection[RunWrite]]
"""The decision on each append of a batch, and the runs that the transaction locked."""


class Appender:
    """Commits appends in groups; after each commit, `grew` is called with the new events."""

    def __init__(
        self,
        engine: Database,
        connections: Connections,
        offloading: Offloading,
        salts: Salts,
        grew: Callable[[Mapping[RunKey, Iterable[RecordedEvent]]], None],
        *,
        lanes: int,
    ) -> None:
        self._engine = engine
        self._salts = salts
        self._offload_queue = OffloadQueue(offloading.offload_events, offloading.has_large)
        self._grew = grew
        self._remembered = [Optimistic(connections) for _ in range(lanes)]
        self._lanes = [Lane(partial(self._commit, each)) for each in self._remembered]

    async def append(
        self, key: RunKey, events: Sequence[Event], guard: Guard = NO_GUARD
    ) -> AppendResult:
        """Append all events or none.

        A caller that is cancelled once its events wait in a lane does not take them back.
        """
        (prepared,) = self._prepared([events])
        return await self._pass_on(scoped(key), guard, prepared)

    async def append_many(self, appends: Sequence[NewAppend]) -> Sequence[AppendResult | Exception]:
        """Make appends to any runs; return the answer or the error of each, in order.

        Cancellation is as for `append`.
        """
        if not appends:
            return []
        held_up: dict[ScopedKey, list[asyncio.Task[AppendResult]]] = {}
        scope = current_scope()
        prepared = self._prepared([each.events for each in appends])
        answers = [
            self._begun(ScopedKey(scope, each.key), each.guard, events, held_up)
            for each, events in zip(appends, prepared, strict=True)
        ]
        try:
            await asyncio.wait(answers)
        except asyncio.CancelledError:
            for task in chain.from_iterable(held_up.values()):
                task.cancel()
            raise
        return [_settled(each) for each in answers]

    def _prepared(self, given: Sequence[Sequence[Event]]) -> list[Sequence[PreparedEvent]]:
        """The events of each append, prepared."""
        salts = iter(self._salts.draw(sum(map(len, given))))
        return [prepare_events(each, list(islice(salts, len(each)))) for each in given]

    def _begun(
        self,
        run: ScopedKey,
        guard: Guard,
        events: Sequence[PreparedEvent],
        held_up: dict[ScopedKey, list[asyncio.Task[AppendResult]]],
    ) -> asyncio.Future[AppendResult]:
        """The future answer to an append. Those that have to wait are held up in tasks, by run."""
        if run not in held_up and not self._offload_queue.holds_up(run, events):
            return self._put(run, guard, events).answered
        task = asyncio.create_task(self._pass_on(run, guard, events))
        held_up.setdefault(run, []).append(task)
        return task

    async def _pass_on(
        self, run: ScopedKey, guard: Guard, events: Sequence[PreparedEvent]
    ) -> AppendResult:
        waiting = await self._offload_queue.pass_on(run, events, partial(self._put, run, guard))
        return await asyncio.shield(waiting.answered)

    def _put(self, run: ScopedKey, guard: Guard, events: Sequence[PreparedEvent]) -> Append:
        waiting, key = Append(run, events, guard, bytes_of(events)), run.key
        lane = zlib.crc32(f"{key.project}\0{key.run_id}".encode()) % len(self._lanes)
        self._lanes[lane].put(waiting)
        return waiting

    async def close(self) -> None:
        """Commit the appends that wait, then stop."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))
        await asyncio.gather(*(each.close() for each in self._remembered))

    async def _commit(self, optimistic: Optimistic, batch: Sequence[Append]) -> None:
        try:
            stored = await optimistic.append(batch)
        except StorageUnavailable as error:
            for each in batch:
                each.settle(error)
            return
        except Exception:
            # The lane carries on whatever it was: appends that were stored are known by their ids.
            _log.exception("appends are decided under locks")
            stored = NOTHING_STORED
        for append, result in stored.results.items():
            append.settle(result)
        self._announce(stored.grown)
        rest = [each for each in batch if each not in stored.results]
        if rest:
            await self._commit_under_locks(optimistic, rest)

    async def _commit_under_locks(self, optimistic: Optimistic, batch: Sequence[Append]) -> None:
        try:
            decided, runs = await self._attempt(batch)
        except StorageUnavailable as error:
            for each in batch:
                each.settle(error)
        except Exception as error:
            if len(batch) == 1:
                batch[0].settle(error)
                return
            # One append that Postgres cannot take must not fail its neighbours.
            for each in batch:
                await self._commit_under_locks(optimistic, [each])
        else:
            for append, result in zip(batch, decided, strict=True):
                append.settle(result)
            self._announce({run.key: run.recorded() for run in runs if run.new_events})
            if runs:
                heads = {ScopedKey(run.scope, run.key): run.head for run in runs}
                optimistic.remember(heads, next(iter(runs)).clock)

    async def _attempt(self, batch: Sequence[Append]) -> Decided:
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                return await self._transaction(batch)
            except Exception as error:
                if attempt == MAX_ATTEMPTS or not is_rolled_back(error):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _announce(self, grown: Mapping[RunKey, Iterable[RecordedEvent]]) -> None:
        if grown:
            self._grew(grown)

    async def _transaction(self, batch: Sequence[Append]) -> Decided:
        async with writing(self._engine) as conn:
            runs = await lock_runs(conn, (each.run for each in batch))
            known = await find_known(
                conn, ((runs[each.run], each.events) for each in batch if each.run in runs)
            )
            decided = [_decide(each, runs.get(each.run), known) for each in batch]
            grown = [run for run in runs.values() if run.new_events]
            if grown:
                await store(conn, grown)
        return decided, runs.values()


def _settled(answer: asyncio.Future[AppendResult]) -> AppendResult | Exception:
    try:
        return answer.result()
    except Exception as error:
        return error


def _decide(append: Append, run: RunWrite | None, known: KnownEvents) -> Decision:
    try:
        if run is None:
            raise RunNotFound(append.run.key)
        return run.append(append.events, append.guard, known)
    except StorageError as refusal:
        return refusal
