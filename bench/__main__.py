"""Run all figures, print one table, write bench/results/latest.json."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import asyncpg
import grpc
import uvloop
from rich.console import Console
from rich.table import Table
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore_migrations import schema
from runstore_storage.embedded import EmbeddedPostgres
from runstore_storage.engine import connect

from bench import figures

ROUNDS = 5
TABLE_WIDTH = 140
RESULTS = Path(__file__).parent / "results" / "latest.json"

Round = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: medians over the rounds, and their spread in per cent."""

    name: str
    unit: str
    value: float
    spread: float
    baseline_name: str
    baseline: float
    baseline_spread: float

    @property
    def ratio(self) -> float:
        return self.value / self.baseline


@asynccontextmanager
async def server(*arguments: str) -> AsyncIterator[RunServiceStub]:
    """A stub of a server in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.serve", *arguments), stdout=subprocess.PIPE
    )
    assert process.stdout
    address = (await process.stdout.readline()).decode().strip()
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield RunServiceStub(channel)
    process.terminate()
    await process.wait()


async def measure(name: str, unit: str, ours: Round, baseline_name: str, theirs: Round) -> Figure:
    """Alternate ours and the baseline, after one round of each to warm up."""
    values: list[float] = []
    others: list[float] = []
    for number in range(ROUNDS + 1):
        value, other = await ours(), await theirs()
        if number:
            values.append(value)
            others.append(other)
    print(f"  {name}: {median(values):.1f} {unit}", file=sys.stderr)
    return Figure(
        *(name, unit, median(values), _spread(values)),
        *(baseline_name, median(others), _spread(others)),
    )


def _spread(values: list[float]) -> float:
    return 100 * (max(values) - min(values)) / median(values)


async def run(url: str) -> list[Figure]:
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(server("runstore", url))
        echo = await stack.enter_async_context(server("echo"))
        pool = await stack.enter_async_context(
            asyncpg.create_pool(
                connect=lambda *_, **__: connect(url, schema="runstore", name="bench"),
                min_size=4,
                max_size=4,
            )
        )
        names = [await figures.new_run(ours) for _ in range(figures.IN_FLIGHT)]
        bare = [await figures.new_run(ours) for _ in range(4)]
        long = await figures.new_run(ours)
        for _ in range(figures.BACKFILL_EVENTS // 1000):
            events = [figures.event() for _ in range(1000)]
            await ours.AppendEvents(rpc.AppendEventsRequest(**long, events=events))
        numbers = {
            row["run_id"]: row["run"] for row in await pool.fetch("SELECT run, run_id FROM runs")
        }
        bare_numbers = [numbers[each["run_id"]] for each in bare]
        return [
            await measure(
                *("AppendEvent, 32 in flight", "/s"),
                lambda: figures.appends_per_second(ours, names),
                "bare echo",
                lambda: figures.appends_per_second(echo, names),
            ),
            await measure(
                *("AppendEventStream, 8 streams", "/s"),
                lambda: figures.streamed_appends_per_second(ours, names),
                "bare echo",
                lambda: figures.streamed_appends_per_second(echo, names),
            ),
            await measure(
                *("AppendEvents of 100", "events/s"),
                lambda: figures.batched_events_per_second(ours, names),
                "asyncpg multi-row insert",
                lambda: figures.inserted_events_per_second(pool, bare_numbers),
            ),
            await measure(
                *("AppendEvent, one in flight", "ms"),
                lambda: figures.append_milliseconds(ours, names),
                "bare echo",
                lambda: figures.append_milliseconds(echo, names),
            ),
            await measure(
                *("StreamEvents backfill", "events/s"),
                lambda: figures.backfill_per_second(ours, long),
                "asyncpg pages",
                lambda: figures.raw_pages_per_second(pool, numbers[long["run_id"]]),
            ),
            await measure(
                *("append to delivery", "ms"),
                lambda: figures.delivery_milliseconds(ours, names),
                "AppendEvent, one in flight",
                lambda: figures.append_milliseconds(ours, names),
            ),
        ]


def show(found: list[Figure]) -> None:
    table = Table("figure", "median", "spread", "baseline", "median", "spread", "ratio", box=None)
    for each in found:
        table.add_row(
            each.name,
            f"{each.value:,.1f} {each.unit}",
            f"{each.spread:.0f} %",
            each.baseline_name,
            f"{each.baseline:,.1f} {each.unit}",
            f"{each.baseline_spread:.0f} %",
            f"{each.ratio:.2f}",
        )
    Console(width=max(Console().width, TABLE_WIDTH)).print(table)


async def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="runstore-bench-") as folder,
        EmbeddedPostgres(Path(folder)) as postgres,
    ):
        await schema.upgrade(postgres.url, "runstore")
        found = await run(postgres.url)
    show(found)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(each) | {"ratio": each.ratio} for each in found]))


if __name__ == "__main__":
    uvloop.run(main())
