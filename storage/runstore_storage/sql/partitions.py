"""Partitions of events: each holds a range of runs, and is made before its first run is saved."""

from __future__ import annotations

from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system

RUNS_PER_PARTITION = 100_000

# Read from the catalogue's table: to_regclass remembers names and does not renew them, so it
# would miss a partition made meanwhile.
_EXISTS = system("""
    SELECT EXISTS (
        SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = :name AND n.nspname = current_schema()
    )
""")
_NEWEST_RUN = system("SELECT coalesce(max(run), 0) FROM runs")
# Makes the partition with its owner's rights; two processes that need one at once make it once.
_MAKE = system("SELECT make_partition(:run)")
_MAY_MAKE = system("""
    SELECT coalesce(has_function_privilege(to_regprocedure('make_partition(bigint)'), 'EXECUTE'),
                    false)
""")


def lower_bound(run: int) -> int:
    """The first run of the partition that holds `run`."""
    return run - run % RUNS_PER_PARTITION


async def ensure(conn: Connection, run: int) -> bool:
    """Make the partition that holds `run` if it is missing; True when it was there."""
    if await _exists(conn, lower_bound(run)):
        return True
    made = await conn.execute(_MAKE, {"run": run})
    return not made.scalar_one()


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
