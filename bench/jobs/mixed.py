"""Work as orchestrators do it: many runs are appended to, snapshot, resumed, streamed, completed.

Each process keeps so many runs open; a run that is completed is replaced by a new one. Every run is
followed by a stream from its birth to its end, which must deliver each event once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import grpc
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.outputs_pb2 import Outcome
from runstore.v1.payloads_pb2 import Payload

from bench.jobs.appends import PROJECT
from bench.jobs.channels import stub
from bench.payloads import PAYLOADS, event

OPEN_RUNS = 32
PARTS = 20
BATCH = 10
# Parts of a hundred.
MIX = {"append": 84, "batch": 7, "snapshot": 6, "resume": 1, "complete": 2}
# More unanswered than this is no longer half load.
MAX_UNANSWERED = 2000


@dataclass(eq=False)
class _Run:
    run_id: str
    busy: int = 0
    state: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> dict[str, str]:
        return {"project": PROJECT, "run_id": self.run_id}


class _Work:
    """Goes on from one job to the next."""

    def __init__(self, address: str) -> None:
        self.stub: Any = stub(address)
        self.runs: list[_Run] = []
        self.streams: set[asyncio.Task[None]] = set()
        self.done: Counter[str] = Counter()
        self.append_ms: list[float] = []
        self.failures: list[BaseException] = []

    def started(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
        """Work that goes on beside; it is among those until it is done, and its failure is kept."""
        task = asyncio.create_task(work)
        among.add(task)

        def end(_: asyncio.Task[None]) -> None:
            among.discard(task)
            if not task.cancelled() and (failure := task.exception()):
                self.failures.append(failure)

        task.add_done_callback(end)

    async def fill(self) -> None:
        while len(self.runs) < OPEN_RUNS:
            await self.open_run()

    async def open_run(self) -> None:
        run = _Run(str(uuid4()), state={f"part-{n}": PAYLOADS[n] for n in range(PARTS)})
        await self.stub.SaveRun(rpc.SaveRunRequest(**run.names))
        self.started(self.follow(run), self.streams)
        self.runs.append(run)

    async def follow(self, run: _Run) -> None:
        """Count what is delivered, and that it is what there is."""
        call = self.stub.StreamEvents(rpc.StreamEventsRequest(**run.names, follow=True))
        expected = 1
        async for message in call:
            for each in message.events.events:
                self.done["delivered"] += 1
                self.done["misdelivered"] += each.seq != expected
                expected = each.seq + 1
            if message.HasField("end_of_run"):
                self.done["misdelivered"] += message.end_of_run.last_seq != expected - 1
                self.done["streams_ended"] += 1

    async def once(self, due: float | None = None) -> None:
        """One piece of work; `due` is when it should have begun."""
        (kind,) = random.choices(list(MIX), list(MIX.values()))
        run = random.choice(self.runs)
        if kind == "complete" and run.busy:
            kind = "append"
        began = time.perf_counter() if due is None else due
        run.busy += 1
        try:
            await getattr(self, kind)(run)
        finally:
            run.busy -= 1
        self.done[kind] += 1
        if kind == "append":
            self.append_ms.append((time.perf_counter() - began) * 1000)

    async def append(self, run: _Run) -> None:
        await self.stub.AppendEvent(rpc.AppendEventRequest(**run.names, event=event()))

    async def batch(self, run: _Run) -> None:
        events = [event() for _ in range(BATCH)]
        await self.stub.AppendEvents(rpc.AppendEventsRequest(**run.names, events=events))

    async def snapshot(self, run: _Run) -> None:
        run.state[f"part-{random.randrange(PARTS)}"] = random.choice(PAYLOADS)
        request = rpc.PutSnapshotRequest(**run.names, events=[event()])
        for name, text in run.state.items():
            request.snapshot.state[name].CopyFrom(Payload(json=text))
        await self.stub.PutSnapshot(request)

    async def resume(self, run: _Run) -> None:
        await self.stub.ResumeRun(rpc.ResumeRunRequest(**run.names))

    async def complete(self, run: _Run) -> None:
        self.runs.remove(run)
        request = rpc.CompleteRunRequest(**run.names, outcome=Outcome.OUTCOME_SUCCEEDED)
        request.output.payload.json = PAYLOADS[0]
        await self.stub.CompleteRun(request)
        await self.open_run()

    def taken(self) -> dict[str, Any]:
        """What was done since this was asked last; raises the first failure there was."""
        if self.failures:
            raise self.failures[0]
        done, times = dict(self.done), self.append_ms
        self.done, self.append_ms = Counter(), []
        return {"done": done, "times": times, "streams": len(self.streams)}


_work: dict[str, _Work] = {}


async def _on(address: str) -> _Work:
    if address not in _work:
        _work[address] = _Work(address)
    await _work[address].fill()
    return _work[address]


async def saturate(address: str, in_flight: int, seconds: float) -> dict[str, Any]:
    """As much of the mix as goes, so many pieces at a time."""
    work, stop_at = await _on(address), time.perf_counter() + seconds

    async def repeat() -> int:
        count = 0
        while time.perf_counter() < stop_at:
            await work.once()
            count += 1
        return count

    count = sum(await asyncio.gather(*(repeat() for _ in range(in_flight))))
    return work.taken() | {"count": count}


async def paced(address: str, per_second: float, seconds: float) -> dict[str, Any]:
    """So many pieces of work a second, however long each takes; late ones count from when they were
    due."""
    work, began = await _on(address), time.perf_counter()
    unanswered: set[asyncio.Task[None]] = set()
    for number in range(int(per_second * seconds)):
        due = began + number / per_second
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        if len(unanswered) > MAX_UNANSWERED:
            raise RuntimeError(f"{MAX_UNANSWERED} calls are not answered: the load is too high")
        work.started(work.once(due), unanswered)
    if unanswered:
        await asyncio.wait(unanswered)
    return work.taken()


async def stop() -> dict[str, Any]:
    """End the streams."""
    for work in _work.values():
        for stream in list(work.streams):
            stream.cancel()
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await stream
    _work.clear()
    return {}
