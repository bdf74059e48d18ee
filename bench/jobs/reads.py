"""Reads of one run, one in flight."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.payloads_pb2 import Payload

from bench.jobs.appends import PROJECT
from bench.jobs.channels import stub
from bench.jobs.repeating import repeated
from bench.payloads import PAYLOADS

PARTS = 50
PAGE = 100


async def put_snapshot(address: str, run_id: str, seq: int) -> dict[str, Any]:
    request = rpc.PutSnapshotRequest(project=PROJECT, run_id=run_id)
    request.snapshot.seq = seq
    for number in range(PARTS):
        request.snapshot.state[f"part-{number}"].CopyFrom(Payload(json=PAYLOADS[number]))
    await stub(address).PutSnapshot(request)
    return {}


async def resumes(address: str, run_id: str, after_snapshot: int, calls: int) -> dict[str, Any]:
    """Milliseconds of each ResumeRun; so many events lie between the snapshot and the end.

    A resume appends an event, so after each the snapshot is put again, as late as before; that is
    not measured.
    """
    via, times = stub(address), []
    for _ in range(calls):
        began = time.perf_counter()
        resumed = await via.ResumeRun(rpc.ResumeRunRequest(project=PROJECT, run_id=run_id))
        times.append((time.perf_counter() - began) * 1000)
        await put_snapshot(address, run_id, resumed.run.last_seq + 1 - after_snapshot)
    return {"times": times}


async def runs(address: str, runs: list[str], in_flight: int, seconds: float) -> dict[str, Any]:
    """GetRun, so many at a time, each caller of a run of its own."""

    async def get(run_id: str) -> int:
        await stub(address).GetRun(rpc.GetRunRequest(project=PROJECT, run_id=run_id))
        return 1

    return await repeated([partial(get, run_id) for run_id in runs[:in_flight]], seconds)


async def read(address: str, run_id: str, last_seq: int, read: str, calls: int) -> dict[str, Any]:
    """Milliseconds of each call; `last_seq` says where the middle and the end of the run are."""
    via, one_run = stub(address), {"project": PROJECT, "run_id": run_id}
    middle, end = last_seq // 2, last_seq - PAGE
    reads: dict[str, Callable[[], Awaitable[Any]]] = {
        "replay": lambda: via.ReplayRun(rpc.ReplayRunRequest(**one_run, at_seq=last_seq)),
        "snapshot": lambda: via.GetSnapshot(rpc.GetSnapshotRequest(**one_run)),
        "run": lambda: via.GetRun(rpc.GetRunRequest(**one_run)),
        "events_from_middle": lambda: via.ListEvents(
            rpc.ListEventsRequest(**one_run, from_seq=middle, page_size=PAGE)
        ),
        "events_at_end": lambda: via.ListEvents(
            rpc.ListEventsRequest(**one_run, from_seq=end, page_size=PAGE)
        ),
    }
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        await reads[read]()
        times.append((time.perf_counter() - began) * 1000)
    return {"times": times}
