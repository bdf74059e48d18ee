"""How long a search takes among many events, and how fast events become searchable.

python -m bench.search [--events 1000000] [--data-dir FOLDER]

A folder that is given keeps its database, so that a second run measures at once.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles

import psutil
import uvloop
from rich.console import Console
from rich.progress import track
from rich.table import Table
from runstore_migrations import schema
from runstore_storage.contract.events import Event, RecordedEvent
from runstore_storage.contract.feed import RELAY, SEARCH, FeedEntry
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.scope import Scope, bind
from runstore_storage.contract.search import SearchFilter, SearchOrder, SearchQuery
from runstore_storage.database.engine import reading, writing
from runstore_storage.database.statements import system, tenant
from runstore_storage.embedded.postgres import EmbeddedPostgres
from runstore_storage.postgres import PostgresStore
from runstore_storage.search.queries import either, parse
from runstore_storage.search.rows import matching, row_of
from runstore_storage.search.windows import next_window
from runstore_storage.sql import search_rows

from bench.store import opened

VOCABULARY = 50_000
WORDS = 60
BATCH = 5000
# Half of the events belong to the first project.
PROJECTS = 16
RUNS_PER_PROJECT = 50
ROUNDS = 60
LIVE_EVENTS = 20_000
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ME = "bench"

WORD = [f"w{number}" for number in range(VOCABULARY)]
CUMULATED = [0.0]
for _rank in range(1, VOCABULARY + 1):
    CUMULATED.append(CUMULATED[-1] + 1 / _rank)
CUMULATED.pop(0)

LARGE = "project-0"
SMALL = f"project-{PROJECTS - 1}"
TYPED = SearchFilter(types=("tool.called",), tool="tool-3")
ONE_RUN = SearchFilter(run_ids=("run-7",))
ONE_DAY = SearchFilter(
    recorded_from=BEGAN + timedelta(hours=30), recorded_before=BEGAN + timedelta(hours=40)
)
# name -> (project, query); w0 is in nearly every event, w30000 in a few of a thousand.
QUERIES = {
    "a word of every event": (LARGE, SearchQuery("w0")),
    "the same, newest": (LARGE, SearchQuery("w0", order=SearchOrder.NEWEST)),
    "a common word": (LARGE, SearchQuery("w40")),
    "a rare word": (LARGE, SearchQuery("w30000")),
    "a word that is nowhere": (LARGE, SearchQuery("nowhere")),
    "two common words": (LARGE, SearchQuery("w5 w40")),
    "common and rare": (LARGE, SearchQuery("w0 w20000")),
    "either of two": (LARGE, SearchQuery("w300 or w20000")),
    "a phrase": (LARGE, SearchQuery('"w1 w2"')),
    "a rare phrase": (LARGE, SearchQuery('"w40 w50 w60"')),
    "one but not the other": (LARGE, SearchQuery("w100 -w0")),
    "a small project": (SMALL, SearchQuery("w40")),
    "type and tool": (LARGE, SearchQuery("w40", TYPED)),
    "one run": (LARGE, SearchQuery("w40", ONE_RUN)),
    "ten hours": (LARGE, SearchQuery("w40", ONE_DAY)),
}


def words(count: int = WORDS) -> str:
    return " ".join(random.choices(WORD, cum_weights=CUMULATED, k=count))


def payload() -> Payload:
    return Payload(json.dumps({"role": "tool", "content": words()}))


def entries(first: int, count: int) -> Iterator[FeedEntry]:
    """Feed entries as they would have been read, a second apart."""
    for position in range(first, first + count):
        project = 0 if random.random() < 0.5 else random.randrange(1, PROJECTS)
        at = BEGAN + timedelta(seconds=position)
        event = Event(
            random.choice(("tool.called", "tool.returned", "message")),
            payload=payload(),
            tool=f"tool-{random.randrange(10)}",
            node_id=f"node-{random.randrange(100)}",
        )
        run = f"run-{random.randrange(RUNS_PER_PROJECT)}"
        recorded = RecordedEvent(position, at, b"", event)
        yield FeedEntry(position, f"project-{project}", run, {}, at, recorded)


async def fill(store: PostgresStore, events: int) -> None:
    """Search rows as if so many events had been published and indexed."""
    for project in range(PROJECTS):
        bind(Scope(f"project-{project}"))
        for run in range(RUNS_PER_PROJECT):
            await store.save_run(NewRun(f"project-{project}", f"run-{run}"))
    async with writing(store._engine) as conn:
        await conn.execute(system("DROP INDEX ix_search_rows_tsv"))
    await store.feed.hold_duty(SEARCH, ME)
    for first in track(range(1, events + 1, BATCH), "filling"):
        rows = [row_of(each) for each in entries(first, min(BATCH, events + 1 - first))]
        reached = first - 1 + len(rows)
        async with writing(store._engine) as conn:
            await search_rows.insert(conn, ME, rows, done=first - 1, reached=reached)
    began = time.monotonic()
    async with writing(store._engine) as conn:
        await conn.execute(system("SET LOCAL statement_timeout = 0"))
        await conn.execute(system("SET LOCAL maintenance_work_mem = '512MB'"))
        driver = conn.driver
        await driver.execute(
            "CREATE INDEX ix_search_rows_tsv ON search_rows USING gin (tsv)"
            " WITH (gin_pending_list_limit = 1024)",
            timeout=3600,
        )
        for duty in (RELAY, SEARCH):
            values = {"name": duty, "position": events}
            await conn.execute(
                system(
                    "INSERT INTO duties (name, position) VALUES (:name, :position)"
                    " ON CONFLICT ON CONSTRAINT pk_duties DO UPDATE SET position = :position"
                ),
                values,
            )
    print(f"index built in {time.monotonic() - began:.0f} s", file=sys.stderr)


def cpu_seconds() -> float:
    """What this process and its database have used: what a query costs on a machine of its own."""
    me = psutil.Process()
    used = 0.0
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used


@dataclass(frozen=True, slots=True)
class Measured:
    """How a query was answered; times in milliseconds."""

    hits: int
    p50: float
    p95: float
    max: float
    cpu: float


async def measure(store: PostgresStore) -> dict[str, Measured]:
    found = {}
    for name, (project, query) in QUERIES.items():
        bind(Scope(project))
        times, cpu = [], cpu_seconds()
        for _ in range(ROUNDS):
            began = time.perf_counter()
            page = await store.search.search_events(project, query, limit=20)
            times.append((time.perf_counter() - began) * 1000)
        cuts, cpu = quantiles(times, n=20), (cpu_seconds() - cpu) * 1000 / ROUNDS
        found[name] = Measured(len(page.hits), cuts[9], cuts[18], max(times), cpu)
    return found


def shown(found: dict[str, Measured]) -> Table:
    table = Table("query", "hits", "p50 ms", "p95 ms", "max ms", "cpu ms", box=None)
    for name, each in found.items():
        times = (each.p50, each.p95, each.max, each.cpu)
        table.add_row(name, str(each.hits), *(f"{time:.1f}" for time in times))
    return table


async def index_live(store: PostgresStore) -> float:
    """Events a second that the duty makes searchable, its index as it is in use."""
    bind(Scope("live"))
    key = (await store.save_run(NewRun("live", "live"))).run.key
    for _ in range(LIVE_EVENTS // 1000):
        await store.append_events(key, [Event("message", payload=payload()) for _ in range(1000)])
    for duty in (RELAY, SEARCH):
        await store.feed.hold_duty(duty, ME)
    while await store.feed.publish(ME):
        pass
    indexed = await store.search.indexed_position()
    began = time.monotonic()
    while await store.search.index_text(ME):
        await store.feed.hold_duty(SEARCH, ME)
    for duty in (RELAY, SEARCH):
        await store.feed.release_duty(duty, ME)
    seconds = time.monotonic() - began
    return (await store.search.indexed_position() - indexed) / seconds


async def explain(store: PostgresStore) -> str:
    """The plan of the newest window of a common word, as the store asks for it."""
    indexed = await store.search.indexed_position()
    window = next_window(indexed + 1, scanned=0, found=0, wanted=1000)
    bind(Scope(LARGE))
    of = matching(LARGE, SearchFilter(), parse("w40"))
    conditions = (*of.conditions, either(window.lexemes))
    values: dict[str, object] = {f"m{n}": each for n, each in enumerate(conditions)}
    where = " ".join(f"AND tsv @@ :{name}::text::tsquery" for name in values)
    sql = search_rows._MATCHES.format(of_scope=search_rows._OF_SCOPE, where=where)
    values |= {"words": of.words, "below": indexed + 1, "limit": 1000}
    async with reading(store._engine) as conn:
        found = await conn.execute(tenant(f"EXPLAIN (ANALYZE, BUFFERS) {sql}"), values)
        sizes = await conn.execute(
            system(
                "SELECT pg_size_pretty(pg_table_size('search_rows')),"
                " pg_size_pretty(pg_relation_size('ix_search_rows_tsv')),"
                " pg_size_pretty(pg_relation_size('pk_search_rows'))"
            )
        )
        lines = [str(row[0]) for row in found]
        lines.append("table, gin, pk: " + ", ".join(map(str, sizes.one())))
    return "\n".join(lines)


async def run(url: str, events: int) -> None:
    await schema.upgrade(url, "runstore")
    store = opened(url)
    try:
        if not await store.search.indexed_position():
            await fill(store, events)
        console = Console(width=120)
        console.print(shown(await measure(store)))
        print(await explain(store))
        print(f"indexing: {await index_live(store):,.0f} events/s")
        console.print(shown(await measure(store)))
    finally:
        await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = arguments.data_dir or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="runstore-bench-"))
        )
        postgres = stack.enter_context(EmbeddedPostgres(folder))
        uvloop.run(run(postgres.url, arguments.events))


if __name__ == "__main__":
    main()
