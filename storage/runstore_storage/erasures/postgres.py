"""Erasures on Postgres. The contract is `ErasureStore`."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from runstore_storage.admin import records
from runstore_storage.chain import SALT_BYTES
from runstore_storage.contract.admin import Act
from runstore_storage.contract.erasures import Erasure, Seqs
from runstore_storage.contract.errors import ErasureNotFound, IdempotencyMismatch
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.signals import Signal
from runstore_storage.database.connection import Connection
from runstore_storage.database.connections import Connections
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.erasures.archives import ArchivedRuns
from runstore_storage.erasures.cleaning import Cleaning
from runstore_storage.erasures.erasing import Erasing
from runstore_storage.ids import new_id
from runstore_storage.payloads.objects import Objects
from runstore_storage.payloads.offloading import Offloading
from runstore_storage.sql import erasures, heads
from runstore_storage.sql.heads import Head


class PostgresErasures:
    """Shares the connections of the store that makes it; wakes `decided`."""

    def __init__(
        self,
        engine: Database,
        connections: Connections,
        objects: Objects,
        offloading: Offloading,
        archived: ArchivedRuns,
        in_flight: WritesInFlight,
        announce: Callable[[Collection[RunKey]], None],
        decided: Signal,
    ) -> None:
        self._engine = engine
        self._in_flight = in_flight
        self._decided = decided
        cleaning = Cleaning(engine, connections)
        self.erase = Erasing(*(engine, objects, offloading, archived, cleaning, announce)).step
        self.clean_up = cleaning.clean_up

    @finish_despite_cancellation
    async def erase_events(
        self, key: RunKey, seqs: Sequence[Seqs], act: Act
    ) -> tuple[Erasure, bool]:
        async with writing(self._engine) as conn:
            if before := await records.repeated(conn, act):
                return await erasures.of_record(conn, key.project, before.number), True
            head = await heads.get(conn, key)
            number, record = await _note(conn, act)
            await erasures.add_seqs(conn, number, list(_by_run(head, seqs)))
            found = await erasures.of_record(conn, key.project, record)
        self._decided.wake()
        return found, False

    @finish_despite_cancellation
    async def erase_subject(self, project: str, subject: str, act: Act) -> tuple[Erasure, bool]:
        async with writing(self._engine) as conn:
            if before := await records.repeated(conn, act):
                if not await erasures.is_subject_of(conn, project, before.number, subject):
                    raise IdempotencyMismatch("request", act.request_id)
                return await erasures.of_record(conn, project, before.number), True
            number, record = await _note(conn, act, (os.urandom(SALT_BYTES), subject))
            await erasures.add_subject(conn, number, project, subject)
            found = await erasures.of_record(conn, project, record)
        self._decided.wake()
        return found, False

    async def get_erasure(self, project: str, erasure_id: str) -> Erasure:
        async with reading(self._engine) as conn:
            found = await erasures.get(conn, project, erasure_id)
        if found is None:
            raise ErasureNotFound(erasure_id)
        return found


async def _note(
    conn: Connection, act: Act, subject: tuple[bytes, str] | None = None
) -> tuple[int, int]:
    """Note what an act asks for, and record it; the erasure's number, and the record's."""
    erasure_id = new_id()
    done = replace(act, resource=f"erasures/{erasure_id}")
    added = await records.record(conn, done, is_allowed=True, status=records.OK)
    number = await erasures.insert(
        conn, act.project, erasure_id=erasure_id, record=added.number, subject=subject
    )
    return number, added.number


def _by_run(head: Head, seqs: Sequence[Seqs]) -> Iterator[tuple[int, Seqs]]:
    """The seqs in the runs that the history is of; those beyond its end may yet be written."""
    *shared, own = head.segments
    for first, last in _merged(seqs):
        for segment in shared:
            if max(first, segment.first_seq) <= min(last, segment.last_seq):
                yield (
                    segment.run,
                    Seqs(max(first, segment.first_seq), min(last, segment.last_seq)),
                )
        if last >= own.first_seq:
            yield own.run, Seqs(max(first, own.first_seq), last)


def _merged(seqs: Iterable[Seqs]) -> list[Seqs]:
    """The same seqs, each in one range."""
    merged: list[Seqs] = []
    for first, last in sorted(seqs):
        if merged and first <= merged[-1].last + 1:
            merged[-1] = Seqs(merged[-1].first, max(merged[-1].last, last))
        else:
            merged.append(Seqs(first, last))
    return merged
