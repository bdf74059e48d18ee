"""Partitions of events: each holds a range of runs, and is made before its first run is saved."""

from __future__ import annotations

from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system

RUNS_PER_PARTITION = 100_000

# Two processes may need it at once; the lock lets one make the partition and the other find it.
_LOCK = system("""
    SELECT pg_advisory_xact_lock(hashtextextended('runstore partitions ' || current_schema(), 0))
""")
# Read from the catalogue's table: to_regclass remembers names and does not renew them after waiting
# for the lock, so it would miss a partition made meanwhile.
_EXISTS = system("""
    SELECT EXISTS (
        SELECT FROM pg_class
        WHERE relname = :name AND relnamespace = current_schema()::regnamespace
    )
""")
_NEWEST_RUN = system("SELECT coalesce(max(run), 0) FROM runs")
# ATTACH PARTITION takes the table's owner.
_MAY_MAKE = system("""
    SELECT pg_has_role(relowner, 'USAGE') AND has_schema_privilege(relnamespace, 'CREATE')
    FROM pg_class WHERE relname = 'events' AND relnamespace = current_schema()::regnamespace
""")


def lower_bound(run: int) -> int:
    """The first run of the partition that holds `run`."""
    return run - run % RUNS_PER_PARTITION


async def ensure(conn: Connection, run: int) -> bool:
    """Make the partition that holds `run` if it is missing; True when it was there.

    The table is built by itself and then attached, which does not block writers of other
    partitions: ATTACH takes SHARE UPDATE EXCLUSIVE on the parent.
    """
    low = lower_bound(run)
    if await _exists(conn, low):
        return True
    await conn.execute(_LOCK)
    if await _exists(conn, low):
        return True
    name, high = _name(low), low + RUNS_PER_PARTITION
    for ddl in (
        f"CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
        f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})",
        f"CREATE TRIGGER tr_{name}_truncate BEFORE TRUNCATE ON {name}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    ):
        await conn.execute(system(ddl))
    return False


async def room(conn: Connection) -> int:
    """How many more runs can be saved before a partition has to be made."""
    first = await newest_run(conn) + 1
    low = lower_bound(first)
    while await _exists(conn, low):
        low += RUNS_PER_PARTITION
    return max(low - first, 0)


async def make_room(conn: Connection, runs: int) -> None:
    """Make partitions until this many more runs can be saved."""
    first = await newest_run(conn) + 1
    for low in range(lower_bound(first), first + runs, RUNS_PER_PARTITION):
        await ensure(conn, low)


async def newest_run(conn: Connection) -> int:
    """The highest number of a run, 0 where there is none."""
    return int((await conn.execute(_NEWEST_RUN)).scalar_one())


async def may_make(conn: Connection) -> bool:
    """Whether this connection's role may make partitions."""
    return bool((await conn.execute(_MAY_MAKE)).scalar_one())


async def _exists(conn: Connection, low: int) -> bool:
    found = await conn.execute(_EXISTS, {"name": _name(low)})
    return bool(found.scalar_one())


def _name(low: int) -> str:
    return f"events_{low}"
