"""Optimistic appends: decided on remembered heads, without reading first, in one round trip.

After an append a process remembers the run's head. It decides the next append on that head and
stores it with a statement that takes effect only if the head is still the same: if the run was
written to meanwhile, nothing happens. Whatever is not plainly accepted - a refusal, a known
event id, a run that is not remembered - is left to the caller, which decides it under locks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from runstore_storage.contract.errors import StorageError
from runstore_storage.contract.events import AppendResult, RecordedEvent
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.scope import ScopedKey
from runstore_storage.database.connection import Connection
from runstore_storage.database.connections import Connections
from runstore_storage.database.failures import is_rolled_back, is_unavailable, unavailable
from runstore_storage.database.opening import losses_of
from runstore_storage.prepared_events import PreparedPlain
from runstore_storage.run_write import RunWrite
from runstore_storage.sql import appends
from runstore_storage.sql.appends import Move
from runstore_storage.sql.heads import Head
from runstore_storage.writing.lanes import Append
from runstore_storage.writing.plain import plain_write

MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Stored:
    """The results of the appends that were stored, and the new events of their runs."""

    results: Mapping[Append, AppendResult]
    grown: Mapping[RunKey, Iterable[RecordedEvent]]


NOTHING_STORED = Stored({}, {})


@dataclass(frozen=True, slots=True)
class _Attempt:
    run: ScopedKey
    move: Move
    recorded: Iterable[RecordedEvent]
    results: Mapping[Append, AppendResult]


class Optimistic:
    """The heads that one lane remembers, and its connection. One call at a time."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._conn: asyncpg.Connection | None = None
        self._heads: dict[ScopedKey, Head] = {}
        self._clock = datetime.min.replace(tzinfo=UTC)
        self._read_at = 0.0

    def remember(self, committed: Mapping[ScopedKey, Head], now: datetime) -> None:
        """Remember committed heads, and the time `now` that the database's clock just gave."""
        self._read(now)
        for run, head in committed.items():
            self._heads.pop(run, None)
            self._remember(run, head)

    def _read(self, now: datetime) -> None:
        self._clock, self._read_at = now, time.monotonic()

    def _remember(self, run: ScopedKey, head: Head) -> None:
        """Remember a run that is forgotten, as the newest."""
        # Event ids of a fork may be known from its ancestors, and those of archived events are in
        # another table: that takes a look-up.
        if not head.is_completed and not head.lineage and not head.archived_through:
            self._heads[run] = head
        if len(self._heads) > MAX_REMEMBERED:
            del self._heads[next(iter(self._heads))]

    async def append(self, batch: Sequence[Append]) -> Stored:
        """Store the appends that are plainly accepted.

        Raises `StorageUnavailable` if Postgres is unavailable; they may be stored all the same.
        """
        attempts = list(self._attempts(batch))
        if not attempts:
            return NOTHING_STORED
        try:
            conn = await self._connection()
            with self._connections.used(conn), losses_of(conn):
                moved, now = await appends.append(
                    Connection(conn), [each.move for each in attempts]
                )
        except Exception as error:
            if is_unavailable(error):
                self._hang_up()
                raise unavailable(error) from error
            # Another process has stored one of the ids, or holds what this one needs.
            if isinstance(error, asyncpg.IntegrityConstraintViolationError) or is_rolled_back(
                error
            ):
                return NOTHING_STORED
            raise
        stored = [each for each in attempts if each.move.head.run in moved]
        self._read(now)
        for each in stored:
            self._remember(each.run, each.move.head)
        results = {append: result for each in stored for append, result in each.results.items()}
        return Stored(results, {each.run.key: each.recorded for each in stored})

    def _hang_up(self) -> None:
        """Terminate the connection: its state is unknown."""
        if self._conn:
            self._conn.terminate()
            self._conn = None

    async def close(self) -> None:
        """Close the connection."""
        if self._conn:
            with suppress(Exception):
                await self._conn.close(timeout=1)

    def _attempts(self, batch: Sequence[Append]) -> Iterable[_Attempt]:
        by_run: dict[ScopedKey, list[Append]] = {}
        for each in batch:
            by_run.setdefault(each.run, []).append(each)
        now = self._clock + timedelta(seconds=time.monotonic() - self._read_at)
        for run, given in by_run.items():
            # Forgotten until it is known again how the run was left.
            head = self._heads.pop(run, None)
            if head and not any(map(_has_blob, given)):
                attempt = _attempted(run, head, given, now)
                if attempt:
                    yield attempt

    async def _connection(self) -> asyncpg.Connection:
        if self._conn is None or self._conn.is_closed():
            self._conn = await self._connections.open("runstore appends")
        return self._conn


def _has_blob(append: Append) -> bool:
    events = append.events
    return not isinstance(events, PreparedPlain) and any(each.blob for each in events)


def _attempted(
    run: ScopedKey, head: Head, given: Sequence[Append], now: datetime
) -> _Attempt | None:
    if plain := plain_write(head, given, now):
        results = dict(zip(given, plain.answers, strict=True))
        move = Move(run.scope, head, plain.head, plain.columns)
        return _Attempt(run, move, plain.recorded(), results)
    write = RunWrite(run, head, now)
    try:
        results = {each: write.append(each.events, each.guard, {}) for each in given}
    except StorageError:
        return None
    if not write.new_events:
        return None
    move = Move(run.scope, head, write.head, write.new_events)
    return _Attempt(run, move, write.recorded(), results)
