"""Appends of events over gRPC, to our server or to the one that only echoes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from itertools import cycle
from typing import Any
from uuid import uuid4

from runstore.v1 import run_service_pb2 as rpc

from bench.jobs.channels import stub, stubs
from bench.jobs.repeating import repeated
from bench.payloads import event

PROJECT = "bench"
STREAM_WINDOW = 256


async def new_runs(address: str, count: int) -> dict[str, Any]:
    runs = [str(uuid4()) for _ in range(count)]
    for run_id in runs:
        await stub(address).SaveRun(rpc.SaveRunRequest(project=PROJECT, run_id=run_id))
    return {"runs": runs}


async def unary(
    address: str, runs: list[str], in_flight: int, seconds: float, connections: int = 1
) -> dict[str, Any]:
    """AppendEvent, so many at a time, each caller in a run of its own."""
    over = stubs(address, connections)

    async def append(via: Any, run_id: str) -> int:
        await via.AppendEvent(rpc.AppendEventRequest(project=PROJECT, run_id=run_id, event=event()))
        return 1

    return await repeated(
        [
            partial(append, via, run_id)
            for _, via, run_id in zip(range(in_flight), over, cycle(runs), strict=False)
        ],
        seconds,
    )


async def batches(
    address: str, runs: list[str], in_flight: int, batch: int, seconds: float
) -> dict[str, Any]:
    """AppendEvents; counts events."""

    async def append(run_id: str) -> int:
        events = [event() for _ in range(batch)]
        await stub(address).AppendEvents(
            rpc.AppendEventsRequest(project=PROJECT, run_id=run_id, events=events)
        )
        return batch

    return await repeated([partial(append, run_id) for run_id in runs[:in_flight]], seconds)


async def streams(address: str, runs: list[str], count: int, seconds: float) -> dict[str, Any]:
    """AppendEventStream, so many streams, each with up to 256 unanswered appends."""

    async def stream(run_id: str) -> int:
        window, stop_at = asyncio.Semaphore(STREAM_WINDOW), time.perf_counter() + seconds

        async def requests() -> AsyncIterator[rpc.AppendEventStreamRequest]:
            while time.perf_counter() < stop_at:
                await window.acquire()
                append = rpc.AppendEventRequest(project=PROJECT, run_id=run_id, event=event())
                yield rpc.AppendEventStreamRequest(append=append)

        answered = 0
        async for answer in stub(address).AppendEventStream(requests()):
            assert answer.HasField("appended"), answer
            window.release()
            answered += 1
        return answered

    return {"count": sum(await asyncio.gather(*(stream(run_id) for run_id in runs[:count])))}


async def latency(address: str, runs: list[str], calls: int) -> dict[str, Any]:
    """AppendEvent, one in flight: milliseconds of each call."""
    times = []
    for _ in range(calls):
        request = rpc.AppendEventRequest(project=PROJECT, run_id=runs[0], event=event())
        began = time.perf_counter()
        await stub(address).AppendEvent(request)
        times.append((time.perf_counter() - began) * 1000)
    return {"times": times}
