"""stored_bytes: what each project stores, by the sizes of payloads and contents as they were sent.

What is kept once is counted once: a part or a large payload once per run, an object once per
project. Of a snapshot's own fields its manifest counts, as it is kept.

Events are added from the feed. Triggers note in `stored_changes` what else is written, and all that
is deleted. What was there before the triggers, or before a rebuild, is scanned, key by key; a
change of a key beyond `stored_scan` is dropped, because its rows are seen when the scan gets there.
"""

from __future__ import annotations

from collections.abc import Mapping

from runstore_storage.contract.feed import STORED_BYTES
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql import duties

# What one transaction adds.
COUNTED_RANGES = 2000
TAKEN_CHANGES = 10_000
SCANNED_KEYS = 500

RUNS, OBJECTS, CONFIGS = 1, 2, 3

_ADD_TO = """
    INSERT INTO stored_bytes AS s (project, bytes)
    SELECT project, sum(bytes)::bigint FROM {rows} GROUP BY project HAVING sum(bytes) <> 0
    ON CONFLICT ON CONSTRAINT pk_stored_bytes DO UPDATE SET bytes = s.bytes + excluded.bytes
"""
# OFFSET keeps each range a look-up by key, as in usage_counts.
_COUNT = system(f"""
    WITH ranges AS MATERIALIZED (
        SELECT last_position, project, run, first_seq, last_seq FROM feed
        WHERE last_position > :position::bigint ORDER BY last_position LIMIT :limit
    ), counted AS (
        SELECT f.project, e.payload_bytes AS bytes
        FROM ranges f JOIN LATERAL (
            SELECT payload_bytes FROM events
            WHERE run = f.run AND seq BETWEEN f.first_seq AND f.last_seq AND payload_blob IS NULL
            OFFSET 0
        ) AS e ON true
    ), added AS (
        {_ADD_TO.format(rows="counted")}
    ), moved AS (
        UPDATE duties SET position = (SELECT max(last_position) FROM ranges)
        WHERE name = :duty AND EXISTS (SELECT FROM ranges)
    )
    SELECT coalesce(max(last_position) - :position, 0) FROM ranges
""")
_TAKE = system(f"""
    WITH taken AS (
        DELETE FROM stored_changes
        WHERE id IN (SELECT id FROM stored_changes ORDER BY id LIMIT :limit)
        RETURNING kind, key, project, bytes
    ), counted AS (
        SELECT project, bytes FROM taken t, stored_scan s
        WHERE (t.kind, t.key) <= (s.kind, s.key)
    ), added AS (
        {_ADD_TO.format(rows="counted")}
    )
    SELECT count(*) FROM taken
""")
_SCAN_POSITION = system("SELECT kind, key FROM stored_scan")
_PAYLOAD = "coalesce(octet_length({0}_json::text), octet_length({0}_binary), 0)"
_OF_RUNS = f"""
    SELECT run AS key, project,
        {_PAYLOAD.format("plan")}
        + (SELECT coalesce(sum(raw_bytes), 0) FROM blobs b WHERE b.run = r.run)
        + (SELECT coalesce(sum(octet_length(manifest) + {_PAYLOAD.format("metadata")}), 0)
           FROM snapshots s WHERE s.run = r.run)
        + (SELECT coalesce(sum({_PAYLOAD.format("payload")}), 0)
           FROM task_writes w WHERE w.run = r.run)
        + (SELECT coalesce(sum({_PAYLOAD.format("payload")} + {_PAYLOAD.format("provenance")}
                               + {_PAYLOAD.format("statistics")}), 0)
           FROM outputs o WHERE o.run = r.run) AS bytes
    FROM runs r WHERE run > :after ORDER BY run LIMIT :limit
"""
_OF_OBJECTS = """
    SELECT object AS key, project, size AS bytes
    FROM objects WHERE object > :after ORDER BY object LIMIT :limit
"""
_OF_CONFIGS = f"""
    SELECT config AS key, project, (
        SELECT coalesce(sum(raw_bytes + {_PAYLOAD.format("metadata")}), 0)
        FROM config_versions v WHERE v.config = c.config
    ) AS bytes
    FROM configs c WHERE config > :after ORDER BY config LIMIT :limit
"""
_OF = {RUNS: _OF_RUNS, OBJECTS: _OF_OBJECTS, CONFIGS: _OF_CONFIGS}
# The changes that it drops are those of the rows that it sees.
_SCAN = f"""
    WITH scanned AS MATERIALIZED ({{scanned}}), dropped AS (
        DELETE FROM stored_changes
        WHERE kind = :kind::smallint AND key > :after AND key <= (SELECT max(key) FROM scanned)
    ), added AS (
        {_ADD_TO.format(rows="scanned")}
    ), moved AS (
        UPDATE stored_scan SET (kind, key) = (
            SELECT CASE WHEN count(*) = :limit THEN :kind ELSE :kind + 1 END,
                   CASE WHEN count(*) = :limit THEN max(key) ELSE 0 END
            FROM scanned
        )
    )
    SELECT count(*) FROM scanned
"""
_FORGET = system("""
    WITH sums AS (DELETE FROM stored_bytes), changes AS (DELETE FROM stored_changes)
    UPDATE stored_scan SET (kind, key) = (1, 0)
""")
_OF_PROJECT = tenant("""
    SELECT coalesce(sum(bytes), 0)::bigint FROM stored_bytes
    WHERE project = :project AND project = :scope
""")
# Servers hold every project to its limits, whoever calls.
_LIMITED = system("""
    SELECT project, bytes FROM stored_bytes JOIN project_limits l USING (project)
    WHERE l.stored_bytes > 0
""")


async def add(conn: Connection, holder: str) -> int | None:
    """Add the next of what is not in the sums yet; how much that was, 0 when there is nothing.

    None when the holder has lost the duty. The statements see what was committed before the duty
    was locked: what its holder before has dropped is in the rows that they scan.
    """
    position = await duties.fence(conn, STORED_BYTES, holder)
    if position is None:
        return None
    taken = (await conn.execute(_TAKE, {"limit": TAKEN_CHANGES})).scalar_one()
    scanned = await _scan(conn)
    if scanned:
        return int(taken + scanned)
    values = {"duty": STORED_BYTES, "position": position, "limit": COUNTED_RANGES}
    return int(taken + (await conn.execute(_COUNT, values)).scalar_one())


async def _scan(conn: Connection) -> int:
    """Add the next keys that have not been scanned; how many, 0 when all have been."""
    kind, after = (await conn.execute(_SCAN_POSITION)).one()
    while kind in _OF:
        scan = system(_SCAN.format(scanned=_OF[kind]))
        values = {"kind": kind, "after": after, "limit": SCANNED_KEYS}
        if scanned := (await conn.execute(scan, values)).scalar_one():
            return int(scanned)
        kind, after = kind + 1, 0
    return 0


async def forget(conn: Connection) -> None:
    """Remove every sum, and scan from the beginning."""
    await conn.execute(_FORGET)


async def of_project(conn: Connection, project: str) -> int:
    """What a project stores, as far as it has been added up."""
    return int((await conn.execute(_OF_PROJECT, {"project": project})).scalar_one())


async def of_limited(conn: Connection) -> Mapping[str, int]:
    """What each project stores that has a limit of it; one that stores nothing may be left out."""
    rows = await conn.execute(_LIMITED)
    return {row["project"]: row["bytes"] for row in rows}
