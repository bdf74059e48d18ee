"""Deleting a run: how fast it goes, and what it costs those who append meanwhile."""

from __future__ import annotations

import time

from runstore_storage.database.opening import quoted

from bench.appends import IN_FLIGHT, unary_rate
from bench.figure import Taken, alternate
from bench.filling import completed_run
from bench.servers import Server
from bench.setting import Setting

SCHEMA = "removals"
EVENTS = 100_000
_COPY = """
    CREATE TABLE {copy} (LIKE {schema}.events INCLUDING CONSTRAINTS);
    INSERT INTO {copy} SELECT * FROM {schema}.events
        WHERE run = (SELECT run FROM {schema}.runs WHERE run_id = '{run_id}');
    ALTER TABLE {copy} ADD PRIMARY KEY (run, seq);
    CREATE UNIQUE INDEX ON {copy} (run, event_id)
"""


async def deletions(setting: Setting) -> list[Taken]:
    """Events removed a second, beside a plain DELETE; appends a second, beside those alone."""
    async with setting.server(SCHEMA) as server:
        runs = await setting.new_runs(server, IN_FLIGHT)

        async def removed() -> float:
            run_id = await completed_run(setting, server, SCHEMA, EVENTS)
            began = time.perf_counter()
            await _delete(setting, server, run_id)
            await _gone(setting, server, run_id)
            return EVENTS / (time.perf_counter() - began)

        async def plain() -> float:
            return await _deleted_from_a_copy(setting, server)

        async def beside() -> float:
            run_id = await completed_run(setting, server, SCHEMA, EVENTS)
            await _delete(setting, server, run_id)
            rate: float = await unary_rate(setting, server, runs)
            await _gone(setting, server, run_id)
            await setting.settled(SCHEMA)
            return rate

        async def alone() -> float:
            rate: float = await unary_rate(setting, server, runs)
            await setting.settled(SCHEMA)
            return rate

        rounds = setting.options.rounds
        return [
            Taken("removal", *await alternate(rounds, removed, plain)),
            Taken("append-removing", *await alternate(rounds, beside, alone)),
        ]


async def _delete(setting: Setting, server: Server, run_id: str) -> None:
    await setting.generators.one("removals:delete", address=server.address, run_id=run_id)


async def _gone(setting: Setting, server: Server, run_id: str) -> None:
    await setting.generators.one("removals:gone", address=server.address, run_id=run_id)


async def _deleted_from_a_copy(setting: Setting, server: Server) -> float:
    """Events a second that one DELETE removes from a table of its own, without a trigger."""
    run_id = await completed_run(setting, server, SCHEMA, EVENTS)
    copy = f"{quoted(SCHEMA)}.copied"
    async with setting.database.acquire() as conn:
        await conn.execute(
            _COPY.format(copy=copy, schema=quoted(SCHEMA), run_id=run_id), timeout=600
        )
        began = time.perf_counter()
        await conn.execute(f"DELETE FROM {copy}", timeout=600)
        taken = time.perf_counter() - began
        await conn.execute(f"DROP TABLE {copy}")
    return EVENTS / taken
