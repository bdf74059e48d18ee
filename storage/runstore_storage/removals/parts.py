"""Removing parts of a run that stays, a step at a time.

Each step asks again whether policies let them go, under the lock of the run's head, which holds and
forks take too. So what was decided stops where it would not be decided any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runstore_storage.contract.errors import RunHeld, RunNotFound
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.database.connection import Connection
from runstore_storage.run_write import lock_run
from runstore_storage.snapshots.deleting import remove_snapshots
from runstore_storage.sql import holds, objects, removals, retention, unnamed_objects
from runstore_storage.sql.removals import Open

MOST_ROWS = 5000
MOST_ARTIFACTS = 1000
MOST_SNAPSHOTS = 1000


async def remove_part(conn: Connection, each: Open, *, published: int) -> int:
    """Remove the next of a part, or note that all of it is gone or stays; how many rows.

    0 for what events are found by, until all that was `published` is indexed.
    """
    key = RunKey(each.project, each.run_id)
    with bound(Scope(each.project)):
        try:
            await lock_run(conn, key)
            found = await retention.due_of(conn, each.project, each.run, each.kind)
            if found and not found.has_any:
                await removals.close(conn, each.removal)
                return 1
            await holds.refuse_if_held(conn, key, each.run)
        except (RunNotFound, RunHeld):
            return await _stop(conn, each)
        if found is None or found.blocker:
            return await _stop(conn, each)
        if (
            each.kind is RemovalKind.SEARCH_TEXT
            and await removals.counted_position(conn) < published
        ):
            return 0
        await removals.note_step(conn, each.removal)
        return await _REMOVE[each.kind](conn, each)


async def _stop(conn: Connection, each: Open) -> int:
    await removals.close(conn, each.removal, is_stopped=True)
    return 1


async def _remove_snapshots(conn: Connection, each: Open) -> int:
    chosen = await retention.snapshots_to_go(conn, each.project, each.run, most=MOST_SNAPSHOTS)
    for namespace, ids in chosen.items():
        await remove_snapshots(conn, each.run, namespace, ids)
    return sum(map(len, chosen.values()))


async def remove_artifacts(conn: Connection, each: Open) -> int:
    """Remove some artifacts of a run, and note objects that no other names; how many."""
    removed = await removals.remove_artifacts(conn, each.run, most=MOST_ARTIFACTS)
    unused = await objects.remove_unused(conn, removed)
    await unnamed_objects.note(conn, each.removal, unused)
    return len(removed)


async def _remove_search_text(conn: Connection, each: Open) -> int:
    return await removals.remove(conn, each.run, "search_rows", most=MOST_ROWS)


_REMOVE: dict[RemovalKind, Callable[[Connection, Open], Awaitable[int]]] = {
    RemovalKind.SNAPSHOTS: _remove_snapshots,
    RemovalKind.ARTIFACTS: remove_artifacts,
    RemovalKind.SEARCH_TEXT: _remove_search_text,
}
