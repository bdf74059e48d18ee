"""Snapshots beside LangGraph's: how long putting one takes, and what stays on disk."""

from __future__ import annotations

from statistics import median
from uuid import uuid4

from runstore_storage.database.opening import quoted

from bench.figure import Taken, alternate
from bench.setting import Setting

OURS, THEIRS = "snapshots", "langgraph"

_SIZE = """
    SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
    WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p')
"""


async def schema_bytes(setting: Setting, schema: str) -> int:
    """What a schema's tables and indexes take on disk, after a VACUUM and a checkpoint."""
    await vacuum(setting, schema)
    size: int = await setting.database.fetchval(_SIZE, quoted(schema))
    return size


async def vacuum(setting: Setting, schema: str) -> None:
    """VACUUM every table of a schema, then a checkpoint."""
    async with setting.database.acquire() as conn:
        tables = await conn.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r'",
            quoted(schema),
        )
        for (name,) in tables:
            await conn.execute(f"VACUUM {quoted(schema)}.{quoted(name)}", timeout=3600)
        await conn.execute("CHECKPOINT", timeout=600)


async def by_reference(setting: Setting) -> list[Taken]:
    """Each side at its best: it is told what has not changed."""
    return await _beside_langgraph(setting, "snapshot", by_ref=True, in_one=False)


async def whole(setting: Setting) -> list[Taken]:
    """Each side is given the whole state at every step, as a plain loop does."""
    return await _beside_langgraph(setting, "snapshot-whole", by_ref=False, in_one=True)


async def _beside_langgraph(
    setting: Setting, key: str, *, by_ref: bool, in_one: bool
) -> list[Taken]:
    one, steps, thread = setting.generators.one, setting.options.calls, str(uuid4())

    async def ours() -> float:
        before = await schema_bytes(setting, OURS)
        answer = await one(
            "snapshots:put", address=server.address, run=run, steps=steps, by_ref=by_ref
        )
        our_bytes.append((await schema_bytes(setting, OURS) - before) / steps)
        return median(answer["times"])

    async def theirs() -> float:
        before = await schema_bytes(setting, THEIRS)
        answer = await one(
            "snapshots:aput",
            url=setting.url,
            schema=THEIRS,
            run=thread,
            steps=steps,
            in_one=in_one,
        )
        their_bytes.append((await schema_bytes(setting, THEIRS) - before) / steps)
        return median(answer["times"])

    our_bytes: list[float] = []
    their_bytes: list[float] = []
    await setting.database.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(THEIRS)}")
    async with setting.server(OURS) as server:
        (run,) = await setting.new_runs(server, 1)
        times, their_times = await alternate(setting.options.rounds, ours, theirs)
    # The first round of each stores the state for the first time.
    return [
        Taken(f"{key}-time", times, their_times),
        Taken(f"{key}-bytes", our_bytes[1:], their_bytes[1:]),
    ]
