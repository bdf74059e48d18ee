"""What the duty does of erasures: `erasures` keeps what stays of an erased event, `removals` that
it was erased, and `subject_refs` says which events name whom.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from runstore_storage.contract.archives import ArchiveState
from runstore_storage.contract.events import RecordedEvent
from runstore_storage.contract.pages import PAGE_BYTES
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql import archive_states, events, heads, holds, scopes
from runstore_storage.sql.partitions import lower_bound

# Events of a run that is waited for have not all reached the feed. No archive has files of it, and
# whoever has the duty writes none meanwhile.
_SHARING = """
    WITH RECURSIVE sharing AS (
        SELECT t.run
        UNION
        SELECT f.run FROM sharing s JOIN runs f ON f.fork_parent = s.run
        WHERE f.fork_seq >= t.first_seq
    )
"""
_UNHELD = f"""
    FROM (
        SELECT erasure, run, min(first_seq) AS first_seq FROM erasure_targets GROUP BY erasure, run
    ) AS t
    JOIN erasure_requests q USING (erasure)
    JOIN runs r USING (run) LEFT JOIN run_heads x USING (run)
    WHERE ({heads.IS_OPEN}) IS NOT TRUE AND NOT EXISTS (SELECT FROM outbox o WHERE o.run = t.run)
        AND NOT EXISTS (
            {_SHARING}
            SELECT FROM sharing JOIN runs r USING (run) JOIN run_heads x USING (run)
            JOIN holds h ON {holds.HOLDS_NOW}
        )
"""
_READY = system(f"""
    SELECT t.erasure, t.run, r.project, r.run_id, q.record, coalesce(x.last_seq, 0) AS last_seq
    {_UNHELD}
        AND NOT EXISTS (
            {_SHARING}
            SELECT FROM sharing JOIN archives a USING (run) WHERE {archive_states.HAS_FILES}
        )
    ORDER BY t.erasure, t.run LIMIT :limit
""")
_ARCHIVED = system(f"""
    SELECT DISTINCT ON (a.run) t.erasure, t.project, a.run, n.run_id, t.record
    FROM (SELECT t.erasure, t.run, t.first_seq, r.project, q.record {_UNHELD}) AS t
    CROSS JOIN LATERAL ({_SHARING} SELECT run FROM sharing) AS s
    JOIN archives a ON a.run = s.run JOIN runs n ON n.run = a.run
    WHERE a.state BETWEEN {ArchiveState.SWITCHED:d} AND {ArchiveState.DONE:d}
    ORDER BY a.run, t.erasure LIMIT :limit
""")
# Those that were restored so, now that nothing of them is to be erased.
_RESTORED = system(f"""
    SELECT a.restored_for, a.project, a.run, n.run_id, q.record
    FROM archives a JOIN runs n USING (run)
    JOIN erasure_requests q ON q.erasure = a.restored_for
    WHERE a.state = {ArchiveState.RESTORED:d} AND NOT {archive_states.IS_AWAITED}
    ORDER BY a.run LIMIT :limit
""")
_CHOSEN = f"""
    FROM events e
    WHERE e.run = :run AND e.seq BETWEEN :from_seq AND :last_seq AND NOT e.is_terminal
        AND {scopes.HAS_RUN}
        AND NOT EXISTS (SELECT FROM erasures x WHERE x.run = e.run AND x.seq = e.seq)
        AND (
            EXISTS (
                SELECT FROM erasure_targets t
                WHERE t.erasure = :erasure AND t.run = :run AND t.subject IS NULL
                    AND e.seq BETWEEN t.first_seq AND t.last_seq
            ) OR e.seq = ANY(ARRAY(
                SELECT s.seq FROM erasure_targets t
                JOIN subject_refs s ON s.subject = t.subject AND s.run = t.run
                WHERE t.erasure = :erasure AND t.run = :run
            ))
        )
"""
_READ_CHOSEN = tenant(f"""
    SELECT {events.SELECTED} FROM (
        SELECT *, sum(payload_bytes) OVER (ORDER BY seq) - payload_bytes AS bytes_before FROM (
            SELECT e.* {_CHOSEN} ORDER BY e.seq LIMIT :limit
        ) AS page
    ) AS measured WHERE bytes_before < :max_bytes ORDER BY seq
""")
_SEQS_CHOSEN = tenant(f"""
    SELECT coalesce(min(e.seq), 0) AS first_seq, coalesce(max(e.seq), 0) AS last_seq {_CHOSEN}
""")
_REMOVAL = tenant("""
    SELECT max(removal) FROM removals
    WHERE project = :scope AND run = :run AND erasure = :erasure
""")
# A rebuild of the search locks the table before the duties that count: so does erasing.
_LOCK_SEARCH = system("SELECT FROM search_rows WHERE false")
_ERASE = system("""
    SELECT location FROM erase_events(:run, :removal, :seqs::bigint[], :hashes::bytea[])
        AS gone(location)
""")
_FORGET_RESTORED = system("""
    UPDATE archives SET restored_for = NULL
    WHERE run = :run AND restored_for = :erasure
""")
_FINISH = system("DELETE FROM erasure_targets WHERE erasure = :erasure AND run = :run")
_ERASED = f"""
    FROM open_removals JOIN removals r USING (removal)
    WHERE r.kind = {RemovalKind.EVENTS_ERASED:d}
        AND NOT EXISTS (SELECT FROM erasure_targets t WHERE (t.erasure, t.run) = (r.erasure, r.run))
"""
# A run that another system completes may have stored the same payload again.
_UNNAMED = system(f"""
    SELECT u.removal, u.location, EXISTS (
        SELECT FROM blobs b WHERE b.location = u.location
    ) AS is_named
    FROM unnamed_objects u JOIN removals r USING (removal)
    WHERE r.kind = {RemovalKind.EVENTS_ERASED:d} ORDER BY u.removal, u.location LIMIT :limit
""")
_ERASED_RUNS = system(f"""
    SELECT r.removal, r.run {_ERASED}
        AND NOT EXISTS (SELECT FROM unnamed_objects u WHERE u.removal = r.removal)
    ORDER BY r.removal LIMIT :limit
""")
_CLOSE = system("""
    WITH closed AS (
        DELETE FROM open_removals WHERE removal = ANY(:removals::bigint[]) RETURNING removal
    )
    INSERT INTO removal_steps (removal, removed_events, is_last)
    SELECT removal, (
        SELECT removed_events FROM removal_steps s WHERE s.removal = closed.removal
        ORDER BY step DESC LIMIT 1
    ), true FROM closed
    RETURNING removal
""")
_FORGET_NAMED = system("""
    DELETE FROM unnamed_objects u WHERE u.location = ANY(:locations::text[]) AND u.removal IN (
        SELECT removal FROM removals WHERE kind = :kind)
""")
_PARTITIONS = system("""
    SELECT to_regclass(name)::text FROM unnest(:names::text[]) AS of(name)
    WHERE to_regclass(name) IS NOT NULL ORDER BY 1
""")
# A database's owner may vacuum, too, but not rebuild an index.
_MAY_CLEAN = system("""
    SELECT bool_and(pg_has_role(c.relowner, 'USAGE') OR
        CASE WHEN current_setting('server_version_num')::integer >= 170000
            THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END)
    FROM pg_class c WHERE c.oid = ANY(:tables::text[]::regclass[])
""")
_DEAD_ROWS = system("""
    SELECT coalesce(sum(pg_stat_get_dead_tuples(c.oid)
        + coalesce(pg_stat_get_dead_tuples(nullif(c.reltoastrelid, 0)), 0)), 0)::bigint
    FROM pg_class c WHERE c.oid = ANY(:tables::text[]::regclass[])
""")


class Ready(NamedTuple):
    """A run of which something is to be erased, and that nothing seems to keep from it."""

    erasure: int
    run: int
    project: str
    run_id: str
    record: int
    """The number of the act's record."""
    last_seq: int
    from_seq: int = 1
    """All before it is erased, as far as is known."""


class Moved(NamedTuple):
    """An archived run that an erasure waits for, or that was restored for it."""

    erasure: int
    project: str
    run: int
    run_id: str
    record: int
    """The number of the act's record."""


class Unnamed(NamedTuple):
    """An object of an erased payload; another row may name it again."""

    removal: int
    location: str
    is_named: bool


async def ready(conn: Connection, *, limit: int) -> list[Ready]:
    """Runs that may be erased, the oldest erasure's first; those that were deleted, too."""
    return [Ready(*row) for row in await conn.execute(_READY, {"limit": limit})]


async def archived(conn: Connection, *, limit: int) -> list[Moved]:
    """Runs that are archived, for which alone an erasure waits."""
    return [Moved(*row) for row in await conn.execute(_ARCHIVED, {"limit": limit})]


async def restored(conn: Connection, *, limit: int) -> list[Moved]:
    """Runs that were restored for an erasure, of which nothing more is to be erased."""
    return [Moved(*row) for row in await conn.execute(_RESTORED, {"limit": limit})]


async def forget_restored(conn: Connection, of: Moved) -> None:
    """Forget that a run was restored so."""
    await conn.execute(_FORGET_RESTORED, {"run": of.run, "erasure": of.erasure})


async def chosen(conn: Connection, of: Ready, *, limit: int) -> list[RecordedEvent]:
    """The next of the events that are to be erased, up to the size of a page."""
    values = {**_of(of), "limit": limit, "max_bytes": PAGE_BYTES}
    return [events.recorded_event(row) for row in await conn.execute(_READ_CHOSEN, values)]


async def seqs_chosen(conn: Connection, of: Ready) -> tuple[int, int]:
    """The first and the last of all events that are to be erased; 0 and 0 of none."""
    first, last = (await conn.execute(_SEQS_CHOSEN, _of(of))).one()
    return first, last


async def removal_of(conn: Connection, of: Ready) -> int | None:
    """The removal that erases the run, if it has begun."""
    values = {"run": of.run, "erasure": of.erasure}
    found: int | None = (await conn.execute(_REMOVAL, values)).scalar_one()
    return found


async def lock_search(conn: Connection) -> None:
    """Keep the search from being rebuilt until the transaction ends."""
    await conn.execute(_LOCK_SEARCH)


async def erase(
    conn: Connection, run: int, removal: int, sealed: Sequence[tuple[int, bytes | None]]
) -> list[str]:
    """Erase events, given with the hashes that stay; the objects that no row names any more.

    The transaction has noted the removal's step.
    """
    values = {
        "run": run,
        "removal": removal,
        "seqs": [seq for seq, _ in sealed],
        "hashes": [each for _, each in sealed],
    }
    return (await conn.execute(_ERASE, values)).scalars()


async def finish(conn: Connection, of: Ready) -> None:
    """Forget that a run is to be erased."""
    await conn.execute(_FINISH, {"erasure": of.erasure, "run": of.run})


async def unnamed(conn: Connection, *, limit: int) -> list[Unnamed]:
    """Objects of erased payloads that have yet to be removed."""
    return [Unnamed(*row) for row in await conn.execute(_UNNAMED, {"limit": limit})]


async def forget_unnamed(conn: Connection, locations: Sequence[str]) -> None:
    """Forget objects that were removed, or are named again."""
    values = {"locations": list(locations), "kind": int(RemovalKind.EVENTS_ERASED)}
    await conn.execute(_FORGET_NAMED, values)


async def erased(conn: Connection, *, limit: int) -> dict[int, int]:
    """By removal, the runs of which all is erased but what Postgres has to clean up."""
    found = await conn.execute(_ERASED_RUNS, {"limit": limit})
    return {row["removal"]: row["run"] for row in found}


async def partitions(conn: Connection, runs: Collection[int]) -> list[str]:
    """The partitions of events that the runs are in."""
    names = {f"events_{lower_bound(run)}" for run in runs}
    return (await conn.execute(_PARTITIONS, {"names": sorted(names)})).scalars()


async def may_clean(conn: Connection, tables: Sequence[str]) -> bool:
    """Whether the role that is connected may vacuum the tables and rebuild their indexes."""
    return bool((await conn.execute(_MAY_CLEAN, {"tables": list(tables)})).scalar_one())


async def dead_rows(conn: Connection, tables: Sequence[str]) -> int:
    """How many rows of the tables were there that are not gone yet, as Postgres counts them."""
    return int((await conn.execute(_DEAD_ROWS, {"tables": list(tables)})).scalar_one())


async def close(conn: Connection, removals: Sequence[int]) -> int:
    """Note that all of these removals is gone; of how many that was not noted before."""
    return len(await conn.execute(_CLOSE, {"removals": list(removals)}))


def _of(of: Ready) -> dict[str, object]:
    return {
        "run": of.run,
        "from_seq": of.from_seq,
        "last_seq": of.last_seq,
        "erasure": of.erasure,
    }
