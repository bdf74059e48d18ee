"""Readers of streams: of long runs, of live ones, and many at once."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from random import choice
from typing import Any

import grpc
from runstore.v1 import run_service_pb2 as rpc

from bench.jobs.appends import PROJECT
from bench.jobs.channels import stub, stubs
from bench.payloads import event

CONNECTIONS = 10
# Streams that are opened at once.
OPENING = 50
DELIVERY_SECONDS = 30


async def backfill(address: str, run_id: str) -> dict[str, Any]:
    """All events of a run, from its first to its end."""
    count = 0
    request = rpc.StreamEventsRequest(project=PROJECT, run_id=run_id)
    async for message in stub(address).StreamEvents(request):
        count += len(message.events.events)
    return {"count": count}


async def delivery(address: str, run_id: str, calls: int) -> dict[str, Any]:
    """From sending an append to its arrival on a live stream: milliseconds, one after another."""
    request = rpc.StreamEventsRequest(project=PROJECT, run_id=run_id, follow=True)
    call = stub(address).StreamEvents(request)
    while not (await call.read()).HasField("caught_up"):
        pass
    times = []
    for _ in range(calls):
        append = rpc.AppendEventRequest(project=PROJECT, run_id=run_id, event=event())
        began = time.perf_counter()
        appending = asyncio.ensure_future(stub(address).AppendEvent(append))
        while not (await call.read()).HasField("events"):
            pass
        times.append((time.perf_counter() - began) * 1000)
        await appending
    call.cancel()
    return {"times": times}


_open: list[tuple[Any, asyncio.Task[None] | None]] = []
_times: list[float] = []
_delivered = asyncio.Event()


async def open_streams(address: str, runs: list[str], unread: list[str]) -> dict[str, Any]:
    """Follow each run until `close_streams`; those of `unread` are opened and never read."""
    over = stubs(address, CONNECTIONS)
    gate = asyncio.Semaphore(OPENING)

    async def follow(run_id: str) -> None:
        async with gate:
            request = rpc.StreamEventsRequest(project=PROJECT, run_id=run_id, follow=True)
            call = next(over).StreamEvents(request)
            while not (await call.read()).HasField("caught_up"):
                pass
        _open.append((call, asyncio.create_task(_note_deliveries(call))))

    await asyncio.gather(*map(follow, runs))
    for run_id in unread:
        request = rpc.StreamEventsRequest(project=PROJECT, run_id=run_id, follow=True)
        call = next(over).StreamEvents(request)
        await call.wait_for_connection()
        _open.append((call, None))
    return {"count": len(_open)}


async def _note_deliveries(call: Any) -> None:
    while (message := await call.read()) is not grpc.aio.EOF:
        now = time.perf_counter()
        _times.extend((now - float(each.actor)) * 1000 for each in message.events.events)
        _delivered.set()


async def close_streams(deliveries: int = 0) -> dict[str, Any]:
    """End the streams after so many deliveries; milliseconds of each since they were opened."""
    async with asyncio.timeout(DELIVERY_SECONDS):
        while len(_times) < deliveries:
            _delivered.clear()
            await _delivered.wait()
    times = list(_times)
    for call, reading in _open:
        call.cancel()
        if reading:
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await reading
    _open.clear()
    _times.clear()
    return {"times": times}


async def paced(address: str, runs: list[str], per_second: int, seconds: float) -> dict[str, Any]:
    """So many appends a second to runs taken by chance; each event says when it was sent.

    The time is `time.perf_counter`'s, which all processes of a machine share. An append is not sent
    later because those before it are late.
    """
    over, times, sent = stubs(address, 2), [], []

    async def append(run_id: str) -> None:
        began = time.perf_counter()
        sending = event()
        sending.actor = repr(began)
        request = rpc.AppendEventRequest(project=PROJECT, run_id=run_id, event=sending)
        await next(over).AppendEvent(request)
        times.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(began + number / per_second - time.perf_counter())
        sent.append(asyncio.create_task(append(choice(runs))))
    await asyncio.gather(*sent)
    return {"count": len(times), "times": times}
