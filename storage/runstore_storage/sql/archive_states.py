"""archives: which events of a run are in the object store, and how far each archive has come."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from runstore_storage.contract.archives import Archive, ArchiveState
from runstore_storage.contract.feed import BESIDE_THE_FEED
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql import duties
from runstore_storage.sql.removals import NEWEST_STEP

_SELECTED = f"""
    SELECT n.run_id, a.n, a.state, a.first_seq, a.last_seq, a.record, a.begun_at, a.changed_at,
        a.manifest_hash, a.bytes, coalesce(s.removed_events, 0) AS removed_events
    FROM archives a JOIN runs n USING (run)
    LEFT JOIN removals r ON r.removal = a.removal LEFT JOIN {NEWEST_STEP} ON true
    WHERE a.project = :project AND a.project = :scope
"""
_OF_RECORD = tenant(f"{_SELECTED} AND a.record = :record ORDER BY a.n DESC LIMIT 1")
_OF_RESTORE = tenant(f"{_SELECTED} AND a.restore_record = :record")
_NEWEST = tenant(f"""
    {_SELECTED} AND a.run = :run AND a.state <= {int(ArchiveState.DONE)} ORDER BY a.n DESC LIMIT 1
""")
_INSERT = tenant("""
    INSERT INTO archives (project, run, n, birth, first_seq, last_seq, record, begun_at, changed_at)
    VALUES (:scope, :run,
        (SELECT coalesce(max(n), 0) + 1 FROM archives WHERE run = :run),
        :birth, :first_seq, :last_seq, :record, now(), now())
""")
HAS_FILES = "a.attempt > 0 AND NOT a.is_cleared"
"""The condition that there may be files of the archive `a`."""
_IS_CURRENT = f"state BETWEEN {int(ArchiveState.SWITCHED)} AND {int(ArchiveState.DONE)}"
_PLACE = "a.run, a.n, a.attempt, a.project, n.run_id, a.birth, a.manifest_hash, a.last_seq"
_CURRENT = tenant(f"""
    SELECT {_PLACE} FROM archives a JOIN runs n USING (run)
    WHERE a.run = :run AND a.project = :scope AND {_IS_CURRENT} ORDER BY a.n DESC LIMIT 1
""")
_FIRST_COMPLETE = tenant(f"""
    SELECT coalesce(max(last_position), 0) + 1 FROM archives
    WHERE project = :project AND project = :scope AND {_IS_CURRENT}
""")
_CANCEL = system(f"""
    UPDATE archives SET state = {int(ArchiveState.CANCELLED)}, changed_at = now()
    WHERE run = :run AND n = :n
""")
_RESTORE = tenant(f"""
    UPDATE archives SET state = {int(ArchiveState.RESTORED)}, changed_at = now(),
        restore_record = :record, restored_for = :erasure
    WHERE run = :run AND n = :n AND project = :scope
""")
_REMOVALS = tenant("""
    SELECT removal, last_position FROM archives
    WHERE run = :run AND project = :scope AND removal IS NOT NULL ORDER BY n
""")
_SWITCH = tenant(f"""
    UPDATE archives SET state = {int(ArchiveState.SWITCHED)}, changed_at = now(),
        removal = :removal, last_position = :last_position
    WHERE run = :run AND n = :n AND project = :scope
""")
_REPLACE = tenant(f"""
    UPDATE archives SET state = {int(ArchiveState.REPLACED)}, changed_at = now()
    WHERE run = :run AND n < :n AND project = :scope AND {_IS_CURRENT}
""")

# What the duty does.
_FOUND = f"{_PLACE}, a.state, a.first_seq, a.last_position"
_UNPLACED = system(f"""
    SELECT a.run, a.n, a.project, a.last_seq FROM archives a
    WHERE NOT a.is_cleared AND a.state = {int(ArchiveState.PLANNED)} AND a.last_position = 0
        AND NOT EXISTS (SELECT FROM outbox o WHERE o.run = a.run AND o.first_seq <= a.last_seq)
    ORDER BY a.begun_at LIMIT :limit
""")
_POSITION = system("""
    SELECT last_position - last_seq + :last_seq FROM feed
    WHERE run = :run AND last_seq >= :last_seq AND project = :project ORDER BY last_seq LIMIT 1
""")
_SET_POSITION = system("""
    UPDATE archives SET last_position = :position WHERE run = :run AND n = :n
""")
# Nobody who reads the feed may miss the events: not who is behind them, nor who gave one up.
_BESIDE = ", ".join(f"'{name}'" for name in sorted(BESIDE_THE_FEED))
_PASSED = f"""
    a.last_position <= (
        SELECT min(position) FROM duties
        WHERE name NOT IN ({_BESIDE}) AND (NOT {duties.IS_SINK} OR {duties.GOES_ON})
    ) AND NOT EXISTS (
        SELECT FROM consumers c WHERE c.project = a.project AND c.position < a.last_position
            AND c.committed_at > clock_timestamp() - :idle::interval
    ) AND NOT EXISTS (
        SELECT FROM dead_letters d CROSS JOIN LATERAL (
            SELECT f.run FROM feed f WHERE f.last_position >= d.position
            ORDER BY f.last_position LIMIT 1
        ) AS f WHERE f.run = a.run AND d.position <= a.last_position
    )
"""
IS_AWAITED = """
    EXISTS (
        WITH RECURSIVE history AS (
            SELECT r.run, r.fork_parent FROM runs r WHERE r.run = a.run
            UNION SELECT r.run, r.fork_parent FROM history h JOIN runs r ON r.run = h.fork_parent
        )
        SELECT FROM history JOIN erasure_targets t USING (run)
    )
"""
"""The condition that something of the history of the archive `a` is yet to be erased."""
_READY = system(f"""
    SELECT {_FOUND} FROM archives a JOIN runs n USING (run)
    WHERE NOT a.is_cleared AND a.state <= {int(ArchiveState.ARCHIVED)} AND a.last_position > 0
        AND {_PASSED} AND NOT (a.attempt = 0 AND {IS_AWAITED})
        AND NOT EXISTS (
            SELECT FROM removals r JOIN open_removals USING (removal)
            WHERE r.run = a.run AND r.kind <> {RemovalKind.EVENTS_ERASED:d}
        )
    ORDER BY a.begun_at, a.run, a.n LIMIT :limit
""")
_HAS_PASSED = system(f"SELECT FROM archives a WHERE a.run = :run AND a.n = :n AND {_PASSED}")
_UNCLEARED = system(f"""
    SELECT {_FOUND} FROM archives a JOIN runs n USING (run)
    WHERE NOT a.is_cleared AND (
        a.state = {int(ArchiveState.CANCELLED)}
        OR a.state >= {int(ArchiveState.RESTORED)}
            AND (a.changed_at <= now() - :kept::interval OR {IS_AWAITED})
    )
    ORDER BY a.changed_at LIMIT :limit
""")
_BEGIN_ATTEMPT = system(f"""
    UPDATE archives SET attempt = attempt + 1
    WHERE run = :run AND n = :n AND state = {int(ArchiveState.PLANNED)} RETURNING attempt
""")
_SET_ARCHIVED = system(f"""
    UPDATE archives SET state = {int(ArchiveState.ARCHIVED)}, changed_at = now(),
        manifest_hash = :manifest_hash, bytes = :bytes
    WHERE run = :run AND n = :n AND attempt = :attempt AND state = {int(ArchiveState.PLANNED)}
""")
_SET_CLEARED = system("UPDATE archives SET is_cleared = true WHERE run = :run AND n = :n")
_SET_STATE_OF = system("""
    UPDATE archives SET state = :state, changed_at = now() WHERE removal = :removal
""")


class Place(NamedTuple):
    """Where an archive is, and what its manifest has to be; `attempt` made its files."""

    run: int
    n: int
    attempt: int
    project: str
    run_id: str
    birth: bytes
    manifest_hash: bytes | None
    last_seq: int


class Found(NamedTuple):
    """An archive that the duty goes on with."""

    place: Place
    state: ArchiveState
    first_seq: int
    last_position: int


async def insert(
    conn: Connection, project: str, run: int, *, birth: bytes, seqs: tuple[int, int], record: int
) -> None:
    """Note that a run's events are to be archived; raise `ScopeMismatch` likewise."""
    in_scope(project)
    first, last = seqs
    values = {"run": run, "birth": birth, "first_seq": first, "last_seq": last, "record": record}
    await conn.execute(_INSERT, values)


async def of_record(conn: Connection, project: str, record: int) -> Archive | None:
    """The archive that an act decided, if it decided one."""
    row = (await conn.execute(_OF_RECORD, {"project": project, "record": record})).one_or_none()
    return _archive(row) if row else None


async def newest(conn: Connection, project: str, run: int) -> Archive | None:
    """The newest archive of a run that was neither given up nor undone."""
    row = (await conn.execute(_NEWEST, {"project": project, "run": run})).one_or_none()
    return _archive(row) if row else None


async def current(conn: Connection, run: int) -> Place | None:
    """Where the events of a run are read that are archived."""
    row = (await conn.execute(_CURRENT, {"run": run})).one_or_none()
    return Place(*row) if row else None


async def first_complete_position(conn: Connection, project: str) -> int:
    """The first position from which on no entry of a project is archived."""
    found = await conn.execute(_FIRST_COMPLETE, {"project": project})
    return int(found.scalar_one())


async def cancel(conn: Connection, place: Place) -> None:
    """Give an archive up."""
    await conn.execute(_CANCEL, {"run": place.run, "n": place.n})


async def restore(conn: Connection, place: Place, record: int, *, erasure: int | None) -> None:
    """Note which act put back the rows that an archive has, and for which erasure it did."""
    values = {"run": place.run, "n": place.n, "record": record, "erasure": erasure}
    await conn.execute(_RESTORE, values)


async def of_restore(conn: Connection, project: str, record: int) -> Archive | None:
    """The archive whose rows an act put back."""
    row = (await conn.execute(_OF_RESTORE, {"project": project, "record": record})).one_or_none()
    return _archive(row) if row else None


async def removals_of(conn: Connection, run: int) -> list[tuple[int, int]]:
    """The removals of rows that a run's archives have, and where in the feed their events end."""
    return [tuple(row) for row in await conn.execute(_REMOVALS, {"run": run})]


async def switch(conn: Connection, found: Found, *, removal: int) -> None:
    """Have the run's events read from an archive, and from no earlier one."""
    place = found.place
    await conn.execute(_REPLACE, {"run": place.run, "n": place.n})
    values = {"removal": removal, "last_position": found.last_position}
    await conn.execute(_SWITCH, {"run": place.run, "n": place.n, **values})


async def note_positions(conn: Connection, *, limit: int) -> None:
    """Note where in the feed the events end that are to be archived, once they are published."""
    for run, n, project, last_seq in await conn.execute(_UNPLACED, {"limit": limit}):
        found = await conn.execute(
            _POSITION, {"project": project, "run": run, "last_seq": last_seq}
        )
        if position := found.scalar_one_or_none():
            await conn.execute(_SET_POSITION, {"run": run, "n": n, "position": position})


async def ready(conn: Connection, *, idle: timedelta, limit: int) -> list[Found]:
    """Archives before the switch whose events all readers of the feed have passed.

    What is to be erased is, before files are written.
    """
    return [_found(row) for row in await conn.execute(_READY, {"idle": idle, "limit": limit})]


async def has_passed(conn: Connection, place: Place, *, idle: timedelta) -> bool:
    """Whether they have done so now."""
    values = {"run": place.run, "n": place.n, "idle": idle}
    return (await conn.execute(_HAS_PASSED, values)).one_or_none() is not None


async def uncleared(conn: Connection, *, kept: timedelta, limit: int) -> list[Found]:
    """Archives from which nothing is read, but whose files may be there: the last ones for so long,
    or until something of them is to be erased.
    """
    return [_found(row) for row in await conn.execute(_UNCLEARED, {"kept": kept, "limit": limit})]


async def begin_attempt(conn: Connection, place: Place) -> Place | None:
    """Where the files of a new attempt go, which no other attempt uses; None if it was given up."""
    found = await conn.execute(_BEGIN_ATTEMPT, {"run": place.run, "n": place.n})
    attempt = found.scalar_one_or_none()
    return place._replace(attempt=attempt) if attempt else None


async def note_archived(conn: Connection, place: Place, *, manifest_hash: bytes, size: int) -> None:
    """Note that an attempt has written all files and found them as they should be."""
    values = {"run": place.run, "n": place.n, "attempt": place.attempt, "bytes": size}
    await conn.execute(_SET_ARCHIVED, {**values, "manifest_hash": manifest_hash})


async def note_cleared(conn: Connection, place: Place) -> None:
    """Note that an archive's files are gone."""
    await conn.execute(_SET_CLEARED, {"run": place.run, "n": place.n})


async def note_removing(conn: Connection, removal: int, state: ArchiveState) -> None:
    """Note how far a removal has come of the rows that an archive has."""
    await conn.execute(_SET_STATE_OF, {"removal": removal, "state": int(state)})


def _archive(row: Row) -> Archive:
    return Archive(
        run_id=row["run_id"],
        number=row["n"],
        state=ArchiveState(row["state"]),
        first_seq=row["first_seq"],
        last_seq=row["last_seq"],
        record=row["record"],
        begun_at=row["begun_at"],
        changed_at=row["changed_at"],
        manifest_hash=row["manifest_hash"] or b"",
        size=row["bytes"],
        removed_events=row["removed_events"],
    )


def _found(row: Row) -> Found:
    *place, state, first_seq, last_position = row
    return Found(Place(*place), ArchiveState(state), first_seq, last_position)
