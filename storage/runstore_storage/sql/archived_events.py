"""archived_events: what is kept of events that have no rows any more; and which are archived."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from runstore_storage.contract.errors import EventsArchived
from runstore_storage.contract.events import RecordedEvent
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql import scopes
from runstore_storage.sql.blobs import NewBlob
from runstore_storage.sql.columns import by_column, insert_rows
from runstore_storage.sql.events import NEW_COLUMNS, NewEvent, new_row

# In one statement, whose time is bounded.
MOST_FORGOTTEN = 5000
_HERE = tenant("""
    SELECT r.run_id, h.archived_through,
        (SELECT coalesce(max(seq), 0) FROM snapshots s WHERE s.run = r.run) AS snapshot_seq
    FROM runs r JOIN run_heads h USING (run)
    WHERE r.run = :run AND r.project = :scope
""")
_THROUGH = system("""
    SELECT run, archived_through FROM run_heads
    WHERE archived_through > 0 AND run = ANY(:runs::bigint[])
""")
_GROWING = system("""
    SELECT r.run_id, h.archived_through FROM run_heads h JOIN runs r USING (run)
    WHERE h.archived_through > 0 AND h.last_seq > h.archived_through ORDER BY run LIMIT 1
""")
_KEPT = tenant(f"""
    SELECT seq, is_terminal, payload_blob, body_hash FROM archived_events
    WHERE run = :run AND seq BETWEEN :first AND :last AND {scopes.HAS_RUN}
""")
_PREFIX = "new_"
_INSERT = tenant(
    f"{insert_rows('events', NEW_COLUMNS, prefix=_PREFIX)} WHERE new.run = {scopes.RUN}"
)
_FORGET = tenant(f"SELECT forget_archived({scopes.RUN}, :most)")
_NOTE_STORED = tenant("""
    INSERT INTO stored_changes (kind, key, project, bytes)
    SELECT 0, r.run, r.project, sum(e.payload_bytes)
    FROM runs r JOIN events e USING (run)
    WHERE r.run = :run AND r.project = :scope AND e.payload_blob IS NULL
        AND e.seq IN (SELECT seq FROM archived_events WHERE run = :run)
    GROUP BY r.run, r.project HAVING sum(e.payload_bytes) > 0
""")
_COUNT_SWITCHED = system("""
    SELECT count(*) FROM (
        SELECT FROM events WHERE run = :run AND seq <= (
            SELECT archived_through FROM run_heads WHERE run = :run
        ) LIMIT :most
    ) AS first
""")
_ARCHIVE_ROWS = system("SELECT archive_rows(:run, :most)")


class Kept(NamedTuple):
    """What is kept of an event, but for what the archive has, too."""

    is_terminal: bool
    payload_blob: int | None
    body_hash: bytes


async def refuse_if_archived(
    conn: Connection, run: int, from_seq: int, *, first_position: int = 0
) -> None:
    """Raise `EventsArchived` if events of a run from a seq on are archived."""
    row = (await conn.execute(_HERE, {"run": run})).one_or_none()
    if row and row["archived_through"] >= from_seq:
        first_seq = row["archived_through"] + 1
        raise EventsArchived(row["run_id"], first_seq, row["snapshot_seq"], first_position)


async def through(conn: Connection, runs: Collection[int]) -> Mapping[int, int]:
    """Of those runs that have archived events, the last seq of these."""
    rows = await conn.execute(_THROUGH, {"runs": list(runs)})
    return {row["run"]: row["archived_through"] for row in rows}


async def refuse_if_growing(conn: Connection) -> None:
    """Raise `EventsArchived` if a run has events that are archived and others that are not."""
    row = (await conn.execute(_GROWING)).one_or_none()
    if row:
        raise EventsArchived(row["run_id"], row["archived_through"] + 1, 0)


async def count_switched(conn: Connection, run: int, *, most: int) -> int:
    """How many rows there are of events that are read from an archive, up to `most`."""
    return int((await conn.execute(_COUNT_SWITCHED, {"run": run, "most": most})).scalar_one())


async def archive_rows(conn: Connection, run: int, *, most: int) -> int:
    """Remove rows of archived events, and keep what has to be known of them; how many."""
    return int((await conn.execute(_ARCHIVE_ROWS, {"run": run, "most": most})).scalar_one())


async def kept(conn: Connection, run: int, first: int, last: int) -> Mapping[int, Kept]:
    """What is kept of events, by seq."""
    rows = await conn.execute(_KEPT, {"run": run, "first": first, "last": last})
    return {seq: Kept(*others) for seq, *others in rows}


async def put_back(conn: Connection, run: int, given: Sequence[tuple[RecordedEvent, Kept]]) -> None:
    """Insert rows of events as they were."""
    blobs: dict[tuple[int, bytes], int] = {}
    rows = []
    for recorded, of in given:
        blob = None
        if of.payload_blob is not None:
            # Only the number of the blob is asked for: it is there.
            blob = NewBlob(recorded.hash, False, "", 0, None)
            blobs[run, blob.sha256] = of.payload_blob
        new = NewEvent(run, recorded, of.body_hash, of.is_terminal, blob)
        rows.append(new_row(new, blobs))
    await conn.execute(_INSERT, {"run": run, **by_column(NEW_COLUMNS, rows, prefix=_PREFIX)})


async def note_stored(conn: Connection, run: int) -> None:
    """Add what rows hold that were put back: the feed has passed them."""
    await conn.execute(_NOTE_STORED, {"run": run})


async def forget(conn: Connection, run: int) -> int:
    """Forget what is kept of events whose rows are back, all of them; how many."""
    values, forgotten = {"run": run, "most": MOST_FORGOTTEN}, 0
    while some := int((await conn.execute(_FORGET, values)).scalar_one() or 0):
        forgotten += some
    return forgotten
