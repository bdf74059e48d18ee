"""holds: what may not be removed.

Removing takes a lock of its project's holds that many may have at a time; placing a hold takes it
alone. So a removal sees every hold that was placed before it began, and a hold is placed once no
removal that did not see it is under way.
"""

from __future__ import annotations

from datetime import UTC, datetime

from runstore_storage.contract.access import Principal
from runstore_storage.contract.errors import RunHeld
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.holds import Hold, HoldCursor, NewHold
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql.access import principal_json, principal_of
from runstore_storage.sql.selections import selection_of, selection_values, selects

_LOCK = """
    SELECT pg_advisory_xact_lock{shared}(
        hashtextextended(current_schema() || '/holds/' || project, 0))
    FROM (SELECT :project::text AS project) AS asked WHERE project = :scope
"""
_LOCK_ALONE = tenant(_LOCK.format(shared=""))
_LOCK_SHARED = tenant(_LOCK.format(shared="_shared"))
HOLDS = f"h.project = r.project AND (h.run = r.run OR h.run IS NULL AND {selects('h')})"
"""The condition that the hold `h` holds a run `r` with the head `x`, unless it was released."""
HOLDS_NOW = f"{HOLDS} AND h.released_at IS NULL"
_HOLDING = tenant(f"""
    SELECT h.hold_id FROM runs r JOIN run_heads x USING (run) JOIN holds h ON {HOLDS_NOW}
    WHERE r.run = :run AND r.project = :scope
    ORDER BY h.placed_at, h.hold_id LIMIT 1
""")
_SELECTED = """
    h.hold_id, coalesce(n.run_id, '') AS run_id, h.statuses, h.plan_id, h.tags, h.labels::text,
    h.reason, h.placed_by::text, h.placed_at, h.released_by::text, h.released_at
"""
_NAMED = "LEFT JOIN runs n ON n.run = h.run"
_INSERT = tenant("""
    INSERT INTO holds (project, hold_id, run, statuses, plan_id, tags, labels, reason, placed_by,
                       placed_at)
    VALUES (:scope, :hold_id, (
            SELECT run FROM runs WHERE project = :scope AND run_id = :run_id
        ), :statuses, :plan_id, :tags, :labels::text::jsonb, :reason, :placed_by::text::jsonb,
        clock_timestamp())
""")
_GET = tenant(f"""
    SELECT {_SELECTED} FROM holds h {_NAMED}
    WHERE h.project = :project AND h.project = :scope AND h.hold_id = :hold_id
""")
_RELEASE = tenant("""
    UPDATE holds SET released_by = :released_by::text::jsonb, released_at = clock_timestamp()
    WHERE project = :project AND project = :scope AND hold_id = :hold_id AND released_at IS NULL
    RETURNING hold_id
""")
_PAGE = f"""
    SELECT {_SELECTED} FROM {{holds}} {_NAMED}
    WHERE h.project = :project AND h.project = :scope
        AND (h.released_at IS NULL OR :released::boolean)
        AND (h.placed_at, h.hold_id) < (:placed_at, :hold_id)
    ORDER BY h.placed_at DESC, h.hold_id DESC LIMIT :limit
"""
_OF_PROJECT = tenant(_PAGE.format(holds="holds h"))
_OF_RUN = tenant(
    _PAGE.format(
        holds=f"""
            runs r JOIN run_heads x ON x.run = r.run AND r.project = :project AND r.run_id = :run_id
            JOIN holds h ON {HOLDS}
        """
    )
)
_NEVER = datetime.max.replace(tzinfo=UTC)


async def lock(conn: Connection, project: str) -> None:
    """Wait until nothing of a project is being removed, and keep it so to the transaction's end."""
    await conn.execute(_LOCK_ALONE, {"project": project})


async def refuse_if_held(conn: Connection, key: RunKey, run: int) -> None:
    """Raise `RunHeld` if a hold holds the run; if not, none will to the transaction's end.

    Everything that removes calls it, in the transaction that removes.
    """
    await conn.execute(_LOCK_SHARED, {"project": key.project})
    hold_id = (await conn.execute(_HOLDING, {"run": run})).scalar_one_or_none()
    if hold_id is not None:
        raise RunHeld(key.run_id, hold_id)


async def insert(conn: Connection, hold_id: str, new: NewHold, placed_by: Principal) -> None:
    """Place a hold; raise `ScopeMismatch` for another project than the scope's."""
    in_scope(new.project)
    await conn.execute(
        _INSERT,
        {
            "hold_id": hold_id,
            "run_id": new.run_id,
            **selection_values(new.where),
            "reason": new.reason,
            "placed_by": principal_json(placed_by),
        },
    )


async def get(conn: Connection, project: str, hold_id: str) -> Hold | None:
    row = (await conn.execute(_GET, {"project": project, "hold_id": hold_id})).one_or_none()
    return _hold(row) if row else None


async def release(conn: Connection, project: str, hold_id: str, released_by: Principal) -> bool:
    """End a hold; False where there is none that has not ended."""
    values = {"project": project, "hold_id": hold_id, "released_by": principal_json(released_by)}
    return (await conn.execute(_RELEASE, values)).one_or_none() is not None


async def page(
    conn: Connection,
    project: str,
    *,
    run_id: str,
    released: bool,
    limit: int,
    after: HoldCursor | None,
) -> tuple[Hold, ...]:
    """Holds of a project, or of a run where one is named, newest first."""
    values = {
        "project": project,
        "released": released,
        "placed_at": after.placed_at if after else _NEVER,
        "hold_id": after.hold_id if after else "",
        "limit": limit,
    }
    found = (
        await conn.execute(_OF_RUN, values | {"run_id": run_id})
        if run_id
        else await conn.execute(_OF_PROJECT, values)
    )
    return tuple(_hold(row) for row in found)


def _hold(row: Row) -> Hold:
    return Hold(
        hold_id=row["hold_id"],
        run_id=row["run_id"],
        where=selection_of(row),
        reason=row["reason"],
        placed_by=principal_of(row["placed_by"]),
        placed_at=row["placed_at"],
        released_by=principal_of(row["released_by"]) if row["released_by"] else None,
        released_at=row["released_at"],
    )
