"""Archives over gRPC: making a run of real events, exporting, verifying and archiving it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from runstore.v1 import admin_pb2, outputs_pb2
from runstore.v1 import admin_service_pb2 as admin
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.admin_service_pb2_grpc import AdminServiceStub

from bench.jobs.appends import PROJECT
from bench.jobs.channels import channel, stub
from bench.payloads import event

BATCH = 500
POLL_SECONDS = 0.05


async def make(address: str, events: int) -> dict[str, Any]:
    """A completed run of so many events, its last one among them."""
    run_id = str(uuid4())
    await stub(address).SaveRun(rpc.SaveRunRequest(project=PROJECT, run_id=run_id))
    for first in range(0, events - 1, BATCH):
        some = [event() for _ in range(min(BATCH, events - 1 - first))]
        await stub(address).AppendEvents(
            rpc.AppendEventsRequest(project=PROJECT, run_id=run_id, events=some)
        )
    await stub(address).CompleteRun(
        rpc.CompleteRunRequest(
            project=PROJECT, run_id=run_id, outcome=outputs_pb2.OUTCOME_SUCCEEDED
        )
    )
    return {"run_id": run_id}


async def export(address: str, run_id: str, path: str) -> dict[str, Any]:
    request = admin.ExportRunRequest(project=PROJECT, run_id=run_id)
    chunks = [each.data async for each in AdminServiceStub(channel(address)).ExportRun(request)]
    await asyncio.to_thread(Path(path).write_bytes, b"".join(chunks))
    return {}


async def verify(address: str, run_id: str, events: int) -> dict[str, Any]:
    """Verify a run; events a second."""
    began = time.perf_counter()
    found = await stub(address).VerifyRun(
        rpc.VerifyRunRequest(project=PROJECT, run_id=run_id, max_events=events)
    )
    if found.checked_events != events or not found.verified:
        raise ValueError(f"the run does not verify: {found}")
    return {"rate": events / (time.perf_counter() - began)}


async def archive(address: str, run_id: str) -> dict[str, Any]:
    """Archive a run, and return when its rows are gone: the bytes of the archive."""
    request = admin.ArchiveRunRequest(
        project=PROJECT, run_id=run_id, reason="bench", request_id=run_id
    )
    via = AdminServiceStub(channel(address))
    while (found := (await via.ArchiveRun(request)).archive).state != admin_pb2.ARCHIVE_STATE_DONE:  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
    return {"bytes": found.size}
