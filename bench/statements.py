"""Which statements an append costs, counted by pg_stat_statements in a Postgres of its own."""

from __future__ import annotations

import asyncpg
from runstore_migrations import schema as schemas
from runstore_storage.embedded.postgres import EmbeddedPostgres

from bench import servers
from bench.appends import IN_FLIGHT
from bench.figure import Taken
from bench.setting import Setting

SHOWN = 12

_CALLS = """
    SELECT regexp_replace(query, '\\s+', ' ', 'g') AS query, calls, mean_exec_time
    FROM pg_stat_statements WHERE query !~ 'pg_stat_statements' ORDER BY calls DESC
"""


async def counted(setting: Setting) -> list[Taken]:
    """Of AppendEvent, one in flight and 32; duties included, as the default server does them."""
    folder = setting.folder / "counted"
    with EmbeddedPostgres(folder) as postgres:
        await _count_from_the_next_start(postgres.url)
    with EmbeddedPostgres(folder) as postgres:
        await schemas.upgrade(postgres.url, "runstore")
        conn = await asyncpg.connect(postgres.url)
        await conn.execute("CREATE EXTENSION pg_stat_statements")
        async with servers.runstore(postgres.url, folder, schema="runstore") as server:
            runs = await setting.new_runs(server, IN_FLIGHT)
            taken = []
            for key, in_flight in (("statements", IN_FLIGHT), ("statements-alone", 1)):
                taken.append(await _round(setting, conn, server.address, key, runs[:in_flight]))
        await conn.close()
    return taken


async def _count_from_the_next_start(url: str) -> None:
    conn = await asyncpg.connect(url)
    await conn.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    await conn.close()


async def _round(
    setting: Setting, conn: asyncpg.Connection, address: str, key: str, runs: list[str]
) -> Taken:
    values, found, count = [], [], 1
    for _ in range(setting.options.rounds):
        await conn.execute("SELECT pg_stat_statements_reset()")
        answer = await setting.generators.one(
            "appends:unary",
            address=address,
            runs=runs,
            in_flight=len(runs),
            seconds=setting.options.seconds,
        )
        found, count = await conn.fetch(_CALLS), answer["count"]
        values.append(sum(calls for _, calls, _ in found) / count)
    notes = {
        query[:160]: {"per_append": round(calls / count, 3), "mean_ms": round(mean, 3)}
        for query, calls, mean in found[:SHOWN]
    }
    return Taken(key, values, notes={"last_round": notes})
