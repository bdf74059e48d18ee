"""Removing the rows of events that are read from an archive."""

from __future__ import annotations

from runstore_storage.contract.archives import ArchiveState
from runstore_storage.contract.errors import RunNotFound
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.database.connection import Connection
from runstore_storage.removals.parts import MOST_ROWS
from runstore_storage.run_write import lock_run
from runstore_storage.sql import archive_states, archived_events, removals
from runstore_storage.sql.removals import Open


async def remove_archived(conn: Connection, each: Open, *, published: int) -> int:
    """Remove the next rows of an archived run; how many, 0 while duties count anew.

    Under the run's lock, so that a restore finds them all there or knows that they are gone.
    """
    with bound(Scope(each.project)):
        left = await _left(conn, each)
    if await removals.counted_position(conn) < published:
        return 0
    if not await removals.is_open(conn, each.removal):
        return 1
    gone = await removals.removed_events(conn, each.removal) + left
    if left:
        await removals.note_step(conn, each.removal, removed_events=gone)
        await archive_states.note_removing(conn, each.removal, ArchiveState.REMOVING)
        return await archived_events.archive_rows(conn, each.run, most=MOST_ROWS)
    await archive_states.note_removing(conn, each.removal, ArchiveState.DONE)
    await removals.close(conn, each.removal, removed_events=gone)
    return 1


async def _left(conn: Connection, each: Open) -> int:
    """How many rows go next, now that the run is locked; none of a run that was deleted."""
    try:
        await lock_run(conn, RunKey(each.project, each.run_id))
    except RunNotFound:
        return 0
    return await archived_events.count_switched(conn, each.run, most=MOST_ROWS)
