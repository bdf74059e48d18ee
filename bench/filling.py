"""Runs with very many events, made by Postgres itself: sending them would take longer.

Their rows are as the store writes them, but their hashes are zeros, so they cannot be verified.
"""

from __future__ import annotations

import asyncio

from runstore_storage.database.opening import quoted

from bench.figure import say
from bench.payloads import PAYLOADS
from bench.servers import Server
from bench.setting import Setting

SLICE = 100_000

_EVENTS = """
    INSERT INTO {schema}.events (run, seq, event_id, type, tool, payload_json, payload_bytes,
                                 recorded_at, is_terminal, body_hash, hash)
    SELECT $1::bigint, seq, gen_random_uuid()::text, 'tool.returned', 'search', payload::json,
           octet_length(payload), clock_timestamp(), false, decode(repeat('00', 32), 'hex'),
           decode(repeat('00', 32), 'hex')
    FROM generate_series($2::bigint, $3::bigint) AS s(seq),
         LATERAL (SELECT ($4::text[])[1 + seq % cardinality($4::text[])]) AS p(payload)
"""
_HEAD = "UPDATE {schema}.run_heads SET last_seq = $2 WHERE run = $1"


_COMPLETED = """
    UPDATE {schema}.run_heads SET status = 3, outcome = 1, completed_at = updated_at WHERE run = $1
"""


async def long_run(setting: Setting, server: Server, schema: str, events: int) -> str:
    """The id of a run of so many events; made once a schema and size."""
    made = setting.long_runs.get((schema, events))
    if made is None:
        made = setting.long_runs[schema, events] = await _made(setting, server, schema, events)
    return made


async def completed_run(setting: Setting, server: Server, schema: str, events: int) -> str:
    """The id of a new run of so many events that may be deleted; its last is no terminal one."""
    run_id = await _made(setting, server, schema, events)
    (run,) = await setting.numbers([run_id], schema)
    await setting.database.execute(_COMPLETED.format(schema=quoted(schema)), run)
    return run_id


async def completed_runs(
    setting: Setting, server: Server, schema: str, count: int, events: int
) -> list[str]:
    """The ids of new runs of so many events each that ended two seconds ago."""
    run_ids = await setting.new_runs(server, count)
    names = {"schema": quoted(schema)}
    async with setting.database.acquire() as conn:
        for run in await setting.numbers(run_ids, schema):
            await conn.execute(_EVENTS.format(**names), run, 1, events, PAYLOADS, timeout=600)
            await conn.execute(_HEAD.format(**names), run, events)
            await conn.execute(_COMPLETED.format(**names), run)
        await conn.execute(f"VACUUM (ANALYZE) {names['schema']}.events", timeout=3600)
        await conn.execute("CHECKPOINT", timeout=600)
    await asyncio.sleep(2)
    say(f"{count:,} runs of {events:,} events have ended")
    return run_ids


async def _made(setting: Setting, server: Server, schema: str, events: int) -> str:
    (run_id,) = await setting.new_runs(server, 1)
    (run,) = await setting.numbers([run_id], schema)
    names = {"schema": quoted(schema)}
    async with setting.database.acquire() as conn:
        for first in range(1, events + 1, SLICE):
            last = min(first + SLICE - 1, events)
            await conn.execute(_EVENTS.format(**names), run, first, last, PAYLOADS, timeout=600)
        await conn.execute(_HEAD.format(**names), run, events)
        await conn.execute(f"VACUUM (ANALYZE) {names['schema']}.events", timeout=3600)
        await conn.execute("CHECKPOINT", timeout=600)
    say(f"a run of {events:,} events is there")
    return run_id
