"""What policies let go: how fast it goes, beside runs that are deleted one by one, and what it
costs those who append meanwhile.
"""

from __future__ import annotations

import asyncio

from runstore_storage.database.opening import quoted

from bench.appends import IN_FLIGHT, unary_rate
from bench.figure import Taken, alternate
from bench.filling import completed_runs
from bench.servers import Server
from bench.setting import Setting

SCHEMA = "retention"
RUNS, EVENTS = 200, 100
POLL_SECONDS = 0.05
_LEFT = """
    SELECT count(*) FROM {schema}.run_heads h JOIN {schema}.runs r USING (run)
    WHERE h.completed_at IS NOT NULL
"""
_OPEN = "SELECT count(*) FROM {schema}.open_removals"
# From the first decision of a round to the last row of it that went.
_TOOK = """
    SELECT extract(epoch FROM max(s.begun_at) - min(r.begun_at))::double precision
    FROM {schema}.removals r JOIN {schema}.removal_steps s USING (removal) WHERE r.removal > $1
"""
_LAST = "SELECT coalesce(max(removal), 0) FROM {schema}.removals"


async def policies(setting: Setting) -> list[Taken]:
    """Events of small runs removed a second; appends a second, beside those alone."""
    async with setting.server(SCHEMA, RUNSTORE_RETENTION_INTERVAL="1") as server:
        runs = await setting.new_runs(server, IN_FLIGHT)

        async def retained() -> float:
            last = await _value(setting, _LAST)
            await completed_runs(setting, server, SCHEMA, RUNS, EVENTS)
            await _let_go(setting, server)
            await _gone(setting)
            return RUNS * EVENTS / await _took(setting, last)

        async def deleted() -> float:
            last = await _value(setting, _LAST)
            for run_id in await completed_runs(setting, server, SCHEMA, RUNS, EVENTS):
                await setting.generators.one(
                    "removals:delete", address=server.address, run_id=run_id
                )
            await _gone(setting)
            return RUNS * EVENTS / await _took(setting, last)

        async def beside() -> float:
            await completed_runs(setting, server, SCHEMA, RUNS, EVENTS)
            await _let_go(setting, server)
            rate: float = await unary_rate(setting, server, runs)
            await _gone(setting)
            await setting.settled(SCHEMA)
            return rate

        async def alone() -> float:
            rate: float = await unary_rate(setting, server, runs)
            await setting.settled(SCHEMA)
            return rate

        rounds = setting.options.rounds
        return [
            Taken("retention", *await alternate(rounds, retained, deleted)),
            Taken("append-retaining", *await alternate(rounds, beside, alone)),
        ]


async def _let_go(setting: Setting, server: Server) -> None:
    await setting.generators.one("removals:let_go", address=server.address)


async def _gone(setting: Setting) -> None:
    """Return when no run is left that has ended, and no removal that is not done."""
    while await _value(setting, _LEFT) or await _value(setting, _OPEN):  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
    await setting.database.execute(f"DELETE FROM {quoted(SCHEMA)}.policies")


async def _value(setting: Setting, sql: str) -> int:
    return int(await setting.database.fetchval(sql.format(schema=quoted(SCHEMA))))


async def _took(setting: Setting, last: int) -> float:
    sql = _TOOK.format(schema=quoted(SCHEMA))
    return float(await setting.database.fetchval(sql, last))
