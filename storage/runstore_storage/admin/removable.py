"""Whether something of a run may be removed, asked under its lock; and what is noted of it."""

from __future__ import annotations

import asyncio

from runstore_storage import chain
from runstore_storage.contract.errors import RunInUse, RunOpen, SeqConflict
from runstore_storage.contract.heads import RunKey, RunStatus
from runstore_storage.database.connection import Connection
from runstore_storage.sql import holds, removals, runs
from runstore_storage.sql.heads import Head


async def refuse_unless_removable(
    conn: Connection, key: RunKey, head: Head, expected_last_seq: int | None = None
) -> None:
    """Raise what keeps the run. If nothing does, nothing will to the transaction's end."""
    if expected_last_seq not in {None, head.last_seq}:
        raise SeqConflict(key.run_id, expected_last_seq or 0, head.last_seq)
    if not head.is_completed and head.status is not RunStatus.EXTERNAL:
        raise RunOpen(key.run_id)
    await holds.refuse_if_held(conn, key, head.run)
    if fork := await removals.find_fork(conn, head.run):
        raise RunInUse(key.run_id, fork)


async def birth_of(conn: Connection, key: RunKey) -> bytes:
    """The hash of a run as it was born, which tells it from every other of its id."""
    return await asyncio.to_thread(chain.birth_hash, (await runs.get(conn, key)).born)


def own_seqs(head: Head) -> tuple[int, int]:
    """The first and the last event that is the run's own; 0 and 0 if it has none."""
    *_, own = head.segments
    return (own.first_seq, own.last_seq) if own.last_seq >= own.first_seq else (0, 0)
