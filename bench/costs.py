"""What an append costs: processor time, WAL, bytes that stay on disk."""

from __future__ import annotations

from typing import Any

from runstore_storage.database.opening import quoted

from bench.appends import BATCH, IN_FLIGHT
from bench.figure import Taken, alternate
from bench.load import Answer
from bench.servers import Server, cpu_seconds
from bench.setting import Setting
from bench.snapshots import vacuum

SEARCH_ROWS = "search_rows"

_TABLES = """
    SELECT CASE WHEN c.relname LIKE 'events%' THEN 'events' ELSE c.relname::text END AS name,
           sum(pg_total_relation_size(c.oid))::bigint AS bytes
    FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r' GROUP BY 1
"""


async def unary(setting: Setting) -> list[Taken]:
    """Of AppendEvent, 32 in flight, everything included that the feed does afterwards."""
    schema, seconds = "cost", setting.options.seconds
    async with setting.server(schema) as ours, setting.echo() as echo:
        runs = await setting.new_runs(ours, IN_FLIGHT)

        async def load(server: Server) -> list[Answer]:
            asked = setting.split(address=server.address, runs=runs)
            for each in asked:
                each |= {"in_flight": len(each["runs"]), "seconds": seconds}
            return await setting.generators.each("appends:unary", asked)

        async def bare() -> float:
            used = echo.cpu_seconds()
            answers = await load(echo)
            return 1000 * (echo.cpu_seconds() - used) / _count(answers)

        async def measured() -> float:
            costs.append(await _cost(setting, ours, schema, lambda: load(ours)))
            return costs[-1]["server"]

        costs: list[dict[str, float]] = []
        values, baseline = await alternate(setting.options.rounds, measured, bare)
    of = {name: [each[name] for each in costs[1:]] for name in costs[0]}
    return [
        Taken("cost-server", values, baseline),
        Taken("cost-postgres", of["postgres"]),
        Taken("cost-generator", of["generator"]),
        Taken("cost-wal", of["wal"], notes={"transactions_per_append": of["transactions"]}),
    ]


async def disk(setting: Setting) -> list[Taken]:
    """Of events that came alone, and of events that came a hundred at a time."""
    seconds = setting.options.seconds
    alone = await _on_disk(setting, "append", {"seconds": seconds}, "appends:unary")
    batched = await _on_disk(
        setting, "batch", {"seconds": seconds, "batch": BATCH}, "appends:batches"
    )
    return alone + batched


async def _on_disk(setting: Setting, name: str, how: dict[str, object], job: str) -> list[Taken]:
    """Bytes an event, after VACUUM: of what is recorded and published, and of the search index."""
    schema, counts = f"disk_{name}", []
    async with setting.server(schema) as ours:
        runs = await setting.new_runs(ours, IN_FLIGHT)
        asked = [
            each | how | {"in_flight": len(each["runs"])}
            for each in setting.split(address=ours.address, runs=runs)
        ]
        # So that every table and index has its first pages.
        await setting.generators.each(job, asked)
        await setting.settled(schema)
        sizes = [await _tables(setting, schema)]
        for _ in range(setting.options.rounds):
            counts.append(_count(await setting.generators.each(job, asked)))
            await setting.settled(schema)
            sizes.append(await _tables(setting, schema))
    grown = [
        {table: (after[table] - before[table]) / count for table in after}
        for before, after, count in zip(sizes, sizes[1:], counts, strict=False)
    ]
    searchable = [each.pop(SEARCH_ROWS) for each in grown]
    notes = {table: [round(each[table], 1) for each in grown] for table in grown[0]}
    notes = {table: rounds for table, rounds in notes.items() if any(rounds)}
    return [
        Taken(f"disk-{name}", [sum(each.values()) for each in grown], notes={"tables": notes}),
        Taken(f"disk-{name}-search", searchable, notes={"events": sum(counts)}),
    ]


async def _cost(setting: Setting, ours: Server, schema: str, load: Any) -> dict[str, float]:
    """An append's part of what was used until the feed had settled; times in milliseconds."""
    await setting.database.execute("CHECKPOINT", timeout=600)
    before = await _used(setting, ours)
    answers = await load()
    await setting.settled(schema)
    after, count = await _used(setting, ours), _count(answers)
    cost = {name: (after[name] - before[name]) / count for name in after}
    cost["generator"] = 1000 * sum(each["cpu_seconds"] for each in answers) / count
    return cost


async def _used(setting: Setting, ours: Server) -> dict[str, float]:
    wal, transactions = await setting.database.fetchrow(
        "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8, xact_commit::float8"
        " FROM pg_stat_database WHERE datname = current_database()"
    )
    return {
        "server": 1000 * ours.cpu_seconds(),
        "postgres": 1000 * cpu_seconds(setting.postgres),
        "wal": wal,
        "transactions": transactions,
    }


async def _tables(setting: Setting, schema: str) -> dict[str, int]:
    """What each table takes on disk with its indexes; partitions count as their table."""
    await vacuum(setting, schema)
    return dict(await setting.database.fetch(_TABLES, quoted(schema)))


def _count(answers: list[Answer]) -> int:
    return sum(each["count"] for each in answers)
