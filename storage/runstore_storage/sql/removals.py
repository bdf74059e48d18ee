"""removals and removal_steps: what was decided to go, and what each transaction removed of it."""

from __future__ import annotations

from typing import NamedTuple

from runstore_storage.contract.feed import SEARCH, STORED_BYTES, USAGE_COUNTS, Lag
from runstore_storage.contract.removals import Removal, RemovalKind
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import system, tenant

EVENTS, ARCHIVED, ARTIFACTS, BLOBS = "events", "archived_events", "artifacts", "blobs"
TABLES = (
    EVENTS,
    ARCHIVED,
    "search_rows",
    "usage_counts",
    "snapshots",
    "task_writes",
    "outputs",
    "requests",
    "subject_refs",
    "erasure_targets",
    "erasures",
    ARTIFACTS,
    BLOBS,
    "archives",
)
"""What a run's rows are removed from, in this order."""

_FORK = tenant("""
    SELECT r.run_id FROM runs r JOIN run_heads h USING (run)
    WHERE r.fork_parent = :run AND r.project = :scope LIMIT 1
""")
_INSERT = tenant("""
    INSERT INTO removals (project, removal_id, run, kind, birth, first_seq, last_seq, record,
                          begun_at, erasure)
    VALUES (:scope, :removal_id, :run, :kind, :birth, :first_seq, :last_seq, :record, now(),
            :erasure)
    RETURNING removal
""")
_STEP = system("""
    INSERT INTO removal_steps (removal, removed_events, is_last, is_stopped)
    VALUES (:removal, :removed_events, :is_last, :is_stopped)
""")
_OPEN_UP = system("INSERT INTO open_removals (removal) VALUES (:removal)")
_CLOSE = system("DELETE FROM open_removals WHERE removal = :removal")
_CLEAR = tenant("SELECT clear_run(run) FROM runs WHERE run = :run AND project = :scope")
NEWEST_STEP = """
    LATERAL (
        SELECT * FROM removal_steps WHERE removal = r.removal ORDER BY step DESC LIMIT 1
    ) AS s
"""
"""The newest step `s` of a removal `r`."""
_SELECTED = f"""
    SELECT r.removal_id, r.kind, r.birth, r.first_seq, r.last_seq, r.record, r.begun_at,
        s.removed_events, CASE WHEN s.is_last THEN s.begun_at END AS done_at, s.is_stopped
    FROM removals r CROSS JOIN {NEWEST_STEP}
    WHERE r.project = :project AND r.project = :scope
"""
_OF_RECORD = tenant(f"{_SELECTED} AND r.record = :record")
_PAGE = tenant(f"{_SELECTED} AND r.record < :before ORDER BY r.record DESC LIMIT :limit")
_PAGE_OF_RUN = tenant(f"""
    {_SELECTED} AND r.record < :before AND r.run = (
        SELECT run FROM runs WHERE project = :project AND project = :scope AND run_id = :run_id
    ) ORDER BY r.record DESC LIMIT :limit
""")
_NEWEST = 2**63 - 1

# What the duty does. Events of a removal that is waited for have not all reached the feed; those of
# an archive have.
_OPEN = system(f"""
    SELECT r.removal, r.run, r.kind, n.project, n.run_id, r.birth,
        EXISTS (SELECT FROM unnamed_objects u WHERE u.removal = r.removal) AS has_unnamed
    FROM open_removals JOIN removals r USING (removal) JOIN runs n USING (run)
    WHERE r.kind <> {RemovalKind.EVENTS_ERASED:d} AND (
        r.kind = {RemovalKind.EVENTS:d} OR NOT EXISTS (SELECT FROM outbox o WHERE o.run = r.run)
    )
    ORDER BY r.removal LIMIT :limit
""")
_IS_OPEN = system("SELECT FROM open_removals WHERE removal = :removal")
_REMOVED_EVENTS = system(f"""
    SELECT s.removed_events FROM removals r CROSS JOIN {NEWEST_STEP} WHERE r.removal = :removal
""")
# They stay where they are until the transaction ends: none begins anew with what is half removed.
_COUNTED = system("""
    SELECT coalesce(min(position), 0) FROM (
        SELECT position FROM duties WHERE name = ANY(:names::text[]) ORDER BY name FOR SHARE
    ) AS counting HAVING count(*) = cardinality(:names::text[])
""")
_NEXT_TABLE = system(
    "SELECT CASE {} ELSE '' END".format(
        " ".join(
            f"WHEN EXISTS (SELECT FROM {table} WHERE run = :run) THEN '{table}'" for table in TABLES
        )
    )
)
_COUNT_EVENTS = system("""
    SELECT count(*) FROM (SELECT FROM events WHERE run = :run LIMIT :most) AS first
""")
_COUNT_ARCHIVED = system("""
    SELECT count(*) FROM (SELECT FROM archived_events WHERE run = :run LIMIT :most) AS first
""")
_LAG = system(f"""
    SELECT coalesce(sum(r.last_seq - r.first_seq + 1 - s.removed_events)
               FILTER (WHERE r.last_seq > 0 AND r.kind = {RemovalKind.RUN:d}), 0)::bigint AS events,
        coalesce(extract(epoch FROM clock_timestamp() - min(r.begun_at)), 0)::double precision
            AS seconds
    FROM open_removals JOIN removals r USING (removal) CROSS JOIN {NEWEST_STEP}
""")
_REMOVE_ARTIFACTS = system("SELECT object FROM remove_artifacts(:run, :most) AS removed(object)")
_REMOVE = system("SELECT remove_rows(:from_table, :run, :most)")
_LOCATIONS = system("""
    SELECT b.location FROM blobs b
    WHERE b.run = :run AND b.location IS NOT NULL AND NOT starts_with(b.location, :folder)
        AND NOT EXISTS (
            SELECT FROM blobs o WHERE o.location = b.location AND o.run <> b.run
        )
""")


class Open(NamedTuple):
    """A removal that is not done, and the run that it removes."""

    removal: int
    run: int
    kind: RemovalKind
    project: str
    run_id: str
    birth: bytes
    has_unnamed: bool
    """Whether objects that it left without a name are still to be removed."""


async def find_fork(conn: Connection, run: int) -> str:
    """The run_id of a fork of the run; empty if there is none.

    A fork of a fork needs the first one's base no longer than that is there itself.
    """
    return str((await conn.execute(_FORK, {"run": run})).scalar_one_or_none() or "")


async def begin(
    conn: Connection,
    project: str,
    run: int,
    *,
    kind: RemovalKind,
    removal_id: str,
    birth: bytes,
    seqs: tuple[int, int],
    record: int,
    erasure: int | None = None,
) -> int:
    """Note that something of a run goes, whose head is locked, with the removal's first step; a run
    is taken away from readers. The removal's number.

    Raise `ScopeMismatch` for another project than the scope's.
    """
    in_scope(project)
    values = {
        "removal_id": removal_id,
        "run": run,
        "kind": int(kind),
        "birth": birth,
        "first_seq": seqs[0],
        "last_seq": seqs[1],
        "record": record,
        "erasure": erasure,
    }
    number = int((await conn.execute(_INSERT, values)).scalar_one())
    await conn.execute(_OPEN_UP, {"removal": number})
    await note_step(conn, number)
    if kind is RemovalKind.RUN:
        await conn.execute(_CLEAR, {"run": run})
    return number


async def note_step(conn: Connection, removal: int, *, removed_events: int = 0) -> None:
    """Note what the transaction removes, after which so many of the run's events are gone.

    Without it nothing of the run can be removed: do it first.
    """
    await conn.execute(_STEP, _step(removal, removed_events))


async def of_record(conn: Connection, project: str, record: int) -> Removal:
    """The removal that an act decided."""
    return _removal((await conn.execute(_OF_RECORD, {"project": project, "record": record})).one())


async def page(
    conn: Connection, project: str, *, run_id: str, limit: int, before: int | None
) -> list[Removal]:
    """Removals, newest first: of the project, or of a run that it had."""
    values: dict[str, object] = {"project": project, "before": before or _NEWEST, "limit": limit}
    found = (
        await conn.execute(_PAGE_OF_RUN, values | {"run_id": run_id})
        if run_id
        else await conn.execute(_PAGE, values)
    )
    return [_removal(row) for row in found]


async def open_ones(conn: Connection, *, limit: int) -> list[Open]:
    """Removals that are not done, of runs whose events are all in the feed; the oldest first."""
    found = await conn.execute(_OPEN, {"limit": limit})
    return [Open(**{**row, "kind": RemovalKind(row["kind"])}) for row in found]


async def removed_events(conn: Connection, removal: int) -> int:
    """How many events of its run are gone."""
    return int((await conn.execute(_REMOVED_EVENTS, {"removal": removal})).scalar_one())


async def is_open(conn: Connection, removal: int) -> bool:
    """Whether a removal is not done."""
    return (await conn.execute(_IS_OPEN, {"removal": removal})).one_or_none() is not None


async def close(
    conn: Connection, removal: int, *, removed_events: int = 0, is_stopped: bool = False
) -> None:
    """Note that all is gone, or that the rest stays."""
    values = _step(removal, removed_events) | {"is_last": True, "is_stopped": is_stopped}
    await conn.execute(_STEP, values)
    await conn.execute(_CLOSE, {"removal": removal})


async def lag(conn: Connection) -> Lag:
    """Events of deleted runs that are still there, and how long the oldest removal has gone on."""
    row = (await conn.execute(_LAG)).one()
    return Lag(row["events"], max(row["seconds"], 0.0))


async def counted_position(conn: Connection) -> int:
    """How far all duties have come that count events, and keep them there until the transaction
    ends; 0 while one of them was never taken.
    """
    names = [SEARCH, STORED_BYTES, USAGE_COUNTS]
    return int((await conn.execute(_COUNTED, {"names": names})).scalar_one_or_none() or 0)


async def next_table(conn: Connection, run: int) -> str:
    """The first of `TABLES` that has rows of the run; empty when none has."""
    return str((await conn.execute(_NEXT_TABLE, {"run": run})).scalar_one())


async def count_events(conn: Connection, run: int, table: str, *, most: int) -> int:
    """How many events a table of events has of the run, up to `most`; 0 of any other table."""
    counting = {EVENTS: _COUNT_EVENTS, ARCHIVED: _COUNT_ARCHIVED}.get(table)
    if counting is None:
        return 0
    return int((await conn.execute(counting, {"run": run, "most": most})).scalar_one())


async def remove_artifacts(conn: Connection, run: int, *, most: int) -> list[int | None]:
    """Remove artifacts of a run; the numbers of the objects that they named, None of links."""
    return (await conn.execute(_REMOVE_ARTIFACTS, {"run": run, "most": most})).scalars()


async def remove(conn: Connection, run: int, from_table: str, *, most: int) -> int:
    """Remove rows of a run from one of `TABLES` but artifacts; how many."""
    values = {"run": run, "from_table": from_table, "most": most}
    return int((await conn.execute(_REMOVE, values)).scalar_one())


async def locations_outside(conn: Connection, run: int, folder: str) -> list[str]:
    """Where in the object store, but in the folder, the run's payloads are that no other has."""
    return (await conn.execute(_LOCATIONS, {"run": run, "folder": f"{folder}/"})).scalars()


def _step(removal: int, removed_events: int) -> dict[str, object]:
    return {
        "removal": removal,
        "removed_events": removed_events,
        "is_last": False,
        "is_stopped": False,
    }


def _removal(row: Row) -> Removal:
    return Removal(
        removal_id=row["removal_id"],
        kind=RemovalKind(row["kind"]),
        birth=row["birth"],
        first_seq=row["first_seq"],
        last_seq=row["last_seq"],
        record=row["record"],
        begun_at=row["begun_at"],
        removed_events=row["removed_events"],
        done_at=row["done_at"],
        is_stopped=row["is_stopped"],
    )
