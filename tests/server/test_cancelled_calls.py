"""Calls that are cancelled or time out do not harm other calls."""

import asyncio
import random

import grpc
from conftest import make_served_store
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore.v1.snapshots_pb2 import Snapshot
from runstore_server.app import App

CALLS = 400


async def test_cancelled_and_late_calls_never_fail_a_neighbour_nor_leak_a_connection(
    settings, database_url, db_schema, project
) -> None:
    store = make_served_store(database_url, db_schema)
    server = App(settings, store)
    async with grpc.aio.insecure_channel(await server.start()) as channel:
        stub = RunServiceStub(channel)
        of_run = {"project": project, "run_id": "run"}
        await stub.SaveRun(rpc.SaveRunRequest(**of_run))

        async def steady(number: int) -> int:
            event = Event(type="steady", event_id=f"steady-{number}")
            return (await stub.AppendEvent(rpc.AppendEventRequest(**of_run, event=event))).seq

        async def hasty(number: int) -> None:
            event = Event(type="hasty", event_id=f"hasty-{number}")
            append = rpc.AppendEventRequest(**of_run, event=event)
            put = rpc.PutSnapshotRequest(
                **of_run,
                snapshot=Snapshot(
                    snapshot_id=f"hasty-{number}", state={"x": Payload(json=str(number))}
                ),
            )
            call = (
                stub.AppendEvent(append, timeout=random.uniform(0.0005, 0.02))
                if number % 3
                else stub.PutSnapshot(put)
            )
            if number % 2:
                asyncio.get_running_loop().call_later(random.uniform(0, 0.02), call.cancel)
            await asyncio.gather(call, return_exceptions=True)

        answers = await asyncio.gather(
            *(steady(n) if n % 2 else hasty(n // 2) for n in range(CALLS))
        )

        seqs = [seq for seq in answers if seq is not None]
        assert len(seqs) == len(set(seqs)) == CALLS // 2
        verdict = await stub.VerifyRun(rpc.VerifyRunRequest(**of_run))
        run = (await stub.GetRun(rpc.GetRunRequest(**of_run))).run
        assert verdict.verified
        assert verdict.checked_events == run.last_seq >= CALLS // 2
    await server.drain()
    assert store._engine.in_use == 0
