"""Deciding that something of a run goes: noted with its record, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from runstore_storage import chain
from runstore_storage.admin import records
from runstore_storage.contract.admin import Act
from runstore_storage.contract.errors import RunInUse, RunOpen, SeqConflict
from runstore_storage.contract.heads import RunKey, RunStatus
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.database.connection import Connection
from runstore_storage.ids import new_id
from runstore_storage.sql import holds, removals, runs
from runstore_storage.sql.heads import Head


async def refuse_unless_removable(
    conn: Connection, key: RunKey, head: Head, expected_last_seq: int | None
) -> None:
    """Raise what `RemovalStore.delete_run` does of a run that is to stay."""
    if expected_last_seq not in {None, head.last_seq}:
        raise SeqConflict(key.run_id, expected_last_seq or 0, head.last_seq)
    if not head.is_completed and head.status is not RunStatus.EXTERNAL:
        raise RunOpen(key.run_id)
    await holds.refuse_if_held(conn, key, head.run)
    if fork := await removals.find_fork(conn, head.run):
        raise RunInUse(key.run_id, fork)


async def decide(
    conn: Connection, key: RunKey, head: Head, acts: Mapping[RemovalKind, Act]
) -> list[int]:
    """Let something of a run go, whose head is locked, each kind by an act; the numbers of the
    acts' records.
    """
    born = (await runs.get(conn, key)).born
    birth = await asyncio.to_thread(chain.birth_hash, born)
    numbers = []
    for kind, act in acts.items():
        added = await records.record(conn, act, is_allowed=True, status=records.OK)
        await removals.begin(
            conn,
            key.project,
            head.run,
            kind=kind,
            removal_id=new_id(),
            birth=birth,
            seqs=_own_seqs(head),
            record=added.number,
        )
        numbers.append(added.number)
    return numbers


def _own_seqs(head: Head) -> tuple[int, int]:
    """The first and the last event that is the run's own; 0 and 0 if it has none."""
    *_, own = head.segments
    return (own.first_seq, own.last_seq) if own.last_seq >= own.first_seq else (0, 0)
