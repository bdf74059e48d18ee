"""What is measured. Each function returns one round's value."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from statistics import median
from typing import Any
from uuid import uuid4

import asyncpg
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event
from runstore.v1.payloads_pb2 import Payload
from runstore_storage.sql.events import _INSERT as INSERT_EVENTS
from runstore_storage.sql.events import NEW_COLUMNS as COLUMNS

PAYLOAD = Payload(json='{"text":"' + "x" * 389 + '"}')
IN_FLIGHT = 32
STREAMS = 8
SECONDS = 2.0
BATCH = 100
BACKFILL_EVENTS = 50_000
DELIVERIES = 300


def event() -> Event:
    return Event(event_id=str(uuid4()), type="tool.called", payload=PAYLOAD, tool="search")


async def new_run(stub: Any) -> dict[str, str]:
    names = {"project": "bench", "run_id": str(uuid4())}
    await stub.SaveRun(rpc.SaveRunRequest(**names))
    return names


async def appends_per_second(stub: Any, names: list[dict[str, str]]) -> float:
    """AppendEvent, unary, 32 in flight over 32 runs."""
    stop_at = time.perf_counter() + SECONDS

    async def write(number: int) -> int:
        count = 0
        while time.perf_counter() < stop_at:
            await stub.AppendEvent(
                rpc.AppendEventRequest(**names[number % len(names)], event=event())
            )
            count += 1
        return count

    began = time.perf_counter()
    counts = await asyncio.gather(*(write(number) for number in range(IN_FLIGHT)))
    return sum(counts) / (time.perf_counter() - began)


async def append_milliseconds(stub: Any, names: list[dict[str, str]]) -> float:
    """AppendEvent, one in flight: the median time of a call."""
    times = []
    for _ in range(200):
        began = time.perf_counter()
        await stub.AppendEvent(rpc.AppendEventRequest(**names[0], event=event()))
        times.append((time.perf_counter() - began) * 1000)
    return median(times)


async def streamed_appends_per_second(stub: Any, names: list[dict[str, str]]) -> float:
    """AppendEventStream, 8 streams, each with up to 256 in flight."""

    async def stream(number: int) -> int:
        window, stop_at = asyncio.Semaphore(256), time.perf_counter() + SECONDS

        async def requests() -> AsyncIterator[rpc.AppendEventStreamRequest]:
            while time.perf_counter() < stop_at:
                await window.acquire()
                append = rpc.AppendEventRequest(**names[number % len(names)], event=event())
                yield rpc.AppendEventStreamRequest(append=append)

        count = 0
        async for _ in stub.AppendEventStream(requests()):
            window.release()
            count += 1
        return count

    began = time.perf_counter()
    counts = await asyncio.gather(*(stream(number) for number in range(STREAMS)))
    return sum(counts) / (time.perf_counter() - began)


async def batched_events_per_second(stub: Any, names: list[dict[str, str]]) -> float:
    """AppendEvents of 100, 4 in flight."""
    stop_at = time.perf_counter() + SECONDS

    async def write(number: int) -> int:
        count = 0
        while time.perf_counter() < stop_at:
            events = [event() for _ in range(BATCH)]
            await stub.AppendEvents(rpc.AppendEventsRequest(**names[number], events=events))
            count += BATCH
        return count

    began = time.perf_counter()
    counts = await asyncio.gather(*(write(number) for number in range(4)))
    return sum(counts) / (time.perf_counter() - began)


async def inserted_events_per_second(pool: asyncpg.Pool, numbers: list[int]) -> float:
    """The same rows into the same table by asyncpg, 100 a transaction, 4 in flight."""
    stop_at = time.perf_counter() + SECONDS
    sql = str(INSERT_EVENTS)
    for place, (name, _) in enumerate(COLUMNS, 1):
        sql = sql.replace(f":{name} ", f"${place} ")

    async def write(run: int) -> int:
        async with pool.acquire() as conn:
            statement = await conn.prepare(sql)
            seq = await conn.fetchval(
                "SELECT coalesce(max(seq), 0) FROM events WHERE run = $1", run
            )
            count = 0
            while time.perf_counter() < stop_at:
                async with conn.transaction():
                    now = await conn.fetchval(
                        "SELECT clock_timestamp() FROM run_heads WHERE run = $1 FOR UPDATE", run
                    )
                    rows = [_row(run, seq + place, now) for place in range(1, BATCH + 1)]
                    await statement.fetch(*map(list, zip(*rows, strict=True)))
                seq += BATCH
                count += BATCH
            return count

    began = time.perf_counter()
    counts = await asyncio.gather(*(write(run) for run in numbers[:4]))
    return sum(counts) / (time.perf_counter() - began)


def _row(run: int, seq: int, now: object) -> tuple[object, ...]:
    usage = (None,) * 5
    return (
        *(run, seq, str(uuid4()), "tool.called", "", "", "", "search", "{}"),
        *(PAYLOAD.json, None, "", len(PAYLOAD.json), *usage, "", None, now),
        *(False, b"x" * 32, b"x" * 32),
    )


async def backfill_per_second(stub: Any, names: dict[str, str]) -> float:
    """StreamEvents over a long run, from its first event to its end."""
    began, count = time.perf_counter(), 0
    async for message in stub.StreamEvents(rpc.StreamEventsRequest(**names)):
        count += len(message.events.events)
    assert count == BACKFILL_EVENTS
    return count / (time.perf_counter() - began)


async def raw_pages_per_second(pool: asyncpg.Pool, run: int) -> float:
    """The same rows read by asyncpg in pages of 256."""
    began, count, seq = time.perf_counter(), 0, 0
    async with pool.acquire() as conn:
        while rows := await conn.fetch(
            "SELECT * FROM events WHERE run = $1 AND seq > $2 ORDER BY seq LIMIT 256", run, seq
        ):
            count, seq = count + len(rows), rows[-1]["seq"]
    assert count == BACKFILL_EVENTS
    return count / (time.perf_counter() - began)


async def delivery_milliseconds(stub: Any, _names: list[dict[str, str]]) -> float:
    """From sending an append to its arrival on a live stream: the median."""
    names = await new_run(stub)
    call = stub.StreamEvents(rpc.StreamEventsRequest(**names, follow=True))
    assert (await call.read()).HasField("caught_up")
    times = []
    for _ in range(DELIVERIES):
        began = time.perf_counter()
        appending = asyncio.create_task(_append(stub, names))
        await call.read()
        times.append((time.perf_counter() - began) * 1000)
        await appending
    call.cancel()
    return median(times)


async def _append(stub: Any, names: dict[str, str]) -> None:
    await stub.AppendEvent(rpc.AppendEventRequest(**names, event=event()))
