"""How every documented query is answered among many events, and that an index serves it.

python -m bench.queries [--events 100000 --events 1000000] [--data-dir FOLDER] [--plans]

Each size is a schema of its own, made by `generate`; a folder that is given keeps them. The store's
own statements are explained as it sent them. Exits with 1 where one scans a large table in full.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table
from runstore_migrations import schema
from runstore_storage.contract.scope import Scope, bind
from runstore_storage.database.connection import Connection, Rows
from runstore_storage.database.engine import reading
from runstore_storage.database.statements import NO_VALUES, Statement, system
from runstore_storage.embedded.postgres import EmbeddedPostgres
from runstore_storage.postgres import PostgresStore

from bench.documented_queries import QUERIES, Query
from bench.generate import fill

ROUNDS = 15
SIZES = (100_000, 1_000_000)
# A table of fewer rows is read in full with good reason.
LARGE_ROWS = 5_000


@dataclass
class Measured:
    p50: float
    p95: float
    buffers: int
    scans: set[str] = field(default_factory=set)


Sent = tuple[str, list[object]]


@contextmanager
def captured() -> Iterator[list[Sent]]:
    """The statements that are sent meanwhile."""
    found: list[Sent] = []

    plain = Connection.execute

    async def noted(self: Connection, sent: Statement, values: Any = NO_VALUES) -> Rows:
        found.append((sent.sql, sent.arguments(values)))
        return await plain(self, sent, values)

    Connection.execute = noted  # type: ignore[method-assign]  # for as long as this lasts
    try:
        yield found
    finally:
        Connection.execute = plain  # type: ignore[method-assign]


async def measure(store: PostgresStore, query: Query, large: set[str], plans: bool) -> Measured:
    bind(Scope(query.project))
    with captured() as asked:
        await query.ask(store)
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await query.ask(store)
        times.append((time.perf_counter() - began) * 1000)
    cuts = quantiles(times, n=20)
    measured = Measured(cuts[9], cuts[18], 0)
    async with reading(store._engine) as conn:
        driver = conn.driver
        async with driver.transaction():
            for sql, values in asked:
                plan = await explained(driver, sql, values, plans=plans)
                measured.buffers += plan.get("Shared Hit Blocks", 0)
                measured.buffers += plan.get("Shared Read Blocks", 0)
                measured.scans |= set(scanned(plan)) & (large - query.whole)
    return measured


async def explained(driver: Any, sql: str, values: list[object], *, plans: bool) -> dict[str, Any]:
    """The plan of a statement; a statement that sets how others are planned does so instead."""
    if "set_config" in sql:
        await driver.fetch(sql, *values)
        return {}
    if plans:
        for row in await driver.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", *values):
            print(row[0])
    found = await driver.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", *values)
    plan: dict[str, Any] = json.loads(found)[0]["Plan"]
    return plan


def scanned(plan: dict[str, Any]) -> Iterator[str]:
    """The tables a plan reads in full."""
    if plan.get("Node Type") == "Seq Scan":
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from scanned(part)


async def large_tables(store: PostgresStore) -> set[str]:
    async with reading(store._engine) as conn:
        found = await conn.execute(
            system(
                "SELECT relname FROM pg_class WHERE relkind = 'r'"
                " AND relnamespace = current_schema()::regnamespace"
                " AND (reltuples >= :rows OR relname LIKE 'events%')"
            ),
            {"rows": LARGE_ROWS},
        )
        return set(found.scalars())


async def measure_all(url: str, events: int, objects: Path, plans: str) -> dict[str, Measured]:
    name = f"bench_{events}"
    await schema.upgrade(url, name)
    store = PostgresStore(
        url,
        schema=name,
        pool_size=4,
        append_lanes=1,
        poll_interval=60,
        objects_url=objects.as_uri(),
        salted=True,
    )
    try:
        if not await store.search.indexed_position():
            await fill(store, events)
        large = await large_tables(store)
        chosen = [query for query in QUERIES if plans in {"", query.name}]
        return {query.name: await measure(store, query, large, bool(plans)) for query in chosen}
    finally:
        await store.close()


def table_of(sizes: list[int], found: list[dict[str, Measured]]) -> Table:
    table = Table("query")
    for size in sizes:
        for figure in ("p50 ms", "p95 ms", "buffers"):
            table.add_column(f"{size:,}\n{figure}", justify="right")
    table.add_column("scans in full")
    whole = {query.name: query.why_whole for query in QUERIES}
    for name in found[0]:
        figures, scans = [], set[str]()
        for each in found:
            measured = each[name]
            figures += [f"{measured.p50:.1f}", f"{measured.p95:.1f}", f"{measured.buffers:,}"]
            scans |= measured.scans
        table.add_row(name, *figures, ", ".join(sorted(scans)) or whole[name])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, action="append")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--plans", default="", metavar="QUERY", help="print this query's plans")
    arguments = parser.parse_args()
    sizes = arguments.events or list(SIZES)
    with ExitStack() as stack:
        folder = arguments.data_dir or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="runstore-bench-"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        postgres = stack.enter_context(EmbeddedPostgres(folder))
        found = [
            uvloop.run(measure_all(postgres.url, size, folder / "objects", arguments.plans))
            for size in sizes
        ]
    Console(width=160).print(table_of(sizes, found))
    if any(each.scans for by_name in found for each in by_name.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
