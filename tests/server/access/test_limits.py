"""SetLimits holds a project to its limits, over gRPC and HTTP, in streams and in uploads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio
import runstore
from conftest import make_served_store
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from runstore.v1 import admin_pb2
from runstore.v1 import admin_service_pb2 as admin
from runstore.v1 import artifact_service_pb2 as artifacts
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.admin_service_pb2_grpc import AdminServiceStub
from runstore.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from runstore.v1.events_pb2 import Event
from runstore.v1.outputs_pb2 import OUTCOME_SUCCEEDED
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore.v1.runs_pb2 import RUN_STATUS_SUCCEEDED
from runstore.v1.snapshots_pb2 import Snapshot
from runstore_server.app import App
from runstore_server.settings import Settings
from until import until

SetLimits = Callable[..., Awaitable[None]]

# Servers look every two seconds, and hold to limits everywhere within five.
EVERYWHERE_SECONDS = 5


@pytest_asyncio.fixture
async def channel(server_address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server_address) as opened:
        yield opened


@pytest_asyncio.fixture
async def http(running_server: tuple[str, str], project: str) -> AsyncIterator[httpx.AsyncClient]:
    """Reads the test's project."""
    where = f"http://{running_server[1]}"
    async with httpx.AsyncClient(base_url=where, headers={"X-Runstore-Project": project}) as opened:
        yield opened


@pytest_asyncio.fixture
async def set_limits(channel: grpc.aio.Channel, project: str) -> SetLimits:
    """Sets the project's limits, and waits until they hold."""

    async def set_(**limits: int) -> None:
        request = admin.SetLimitsRequest(project=project, limits=admin_pb2.Limits(**limits))
        await AdminServiceStub(channel).SetLimits(request)
        await asyncio.sleep(EVERYWHERE_SECONDS)

    return set_


@pytest_asyncio.fixture
async def run(stub: RunServiceStub, project: str) -> dict[str, str]:
    of_run = {"project": project, "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    return of_run


def append(run: dict[str, str], number: int = 0) -> rpc.AppendEventRequest:
    return rpc.AppendEventRequest(**run, event=Event(type="t", event_id=str(number)))


def quota(status: status_pb2.Status) -> tuple[str, float]:
    """Which limit refused something, and for how many seconds."""
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in status.details:
        for kind in (info, retry):
            if detail.Is(kind.DESCRIPTOR):
                any_pb2.Any.CopyFrom(found := any_pb2.Any(), detail)
                found.Unpack(kind)
    assert info.reason == "QUOTA_EXCEEDED"
    return info.metadata["limit"], retry.retry_delay.ToMicroseconds() / 1e6


def quota_of(error: grpc.RpcError) -> tuple[str, float]:
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailers = dict(error.trailing_metadata())
    return quota(status_pb2.Status.FromString(trailers["grpc-status-details-bin"]))


async def refusal(call: Any) -> tuple[str, float]:
    with pytest.raises(grpc.RpcError) as error:
        await call
    return quota_of(error.value)


async def refused_of(calls: Iterable[Awaitable[object]]) -> list[grpc.aio.AioRpcError]:
    """Those that fail of calls made together."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    return [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]


async def test_calls_over_grpc_and_http(
    stub: Any, http: httpx.AsyncClient, run: dict[str, str], set_limits: SetLimits
) -> None:
    get, twin = rpc.GetRunRequest(**run), rpc.SaveRunRequest(project=run["project"] + "x")
    await set_limits(calls_per_second=1)

    refused = await refused_of(stub.GetRun(get) for _ in range(50))
    over_http = await asyncio.gather(*(http.get("/api/v1/runs") for _ in range(50)))
    assert not await refused_of(stub.SaveRun(twin) for _ in range(50))

    assert refused
    for error in refused:
        limit, seconds = quota_of(error)
        assert limit == "calls"
        assert 0 < seconds <= 1
    refusals = [each for each in over_http if each.status_code != 200]
    assert refusals
    for each in refusals:
        assert (each.status_code, each.headers["Retry-After"]) == (429, "1")
        assert each.json()["reason"] == "QUOTA_EXCEEDED"


async def test_a_limit_on_calls_does_not_keep_operators_from_setting_it(
    stub: Any, channel: grpc.aio.Channel, run: dict[str, str], set_limits: SetLimits
) -> None:
    await set_limits(calls_per_second=1)
    asked = admin.GetLimitsRequest(project=run["project"])

    assert await refused_of(stub.GetRun(rpc.GetRunRequest(**run)) for _ in range(50))
    assert not await refused_of(AdminServiceStub(channel).GetLimits(asked) for _ in range(50))


async def test_events_one_by_one_in_batches_and_in_a_stream(
    stub: Any, run: dict[str, str], project: str, set_limits: SetLimits
) -> None:
    await set_limits(events_per_second=1)
    batch = rpc.AppendEventsRequest(**run, events=[Event(type="t") for _ in range(600)])
    many = rpc.AppendManyRequest(project=project, appends=[append(run)])

    await stub.AppendEvents(batch)  # which is owed for ten minutes
    for call in (stub.AppendEvents(batch), stub.AppendMany(many), stub.AppendEvent(append(run))):
        limit, seconds = await refusal(call)
        assert limit == "events"
        assert 60 < seconds <= 600
    await stub.GetRun(rpc.GetRunRequest(**run))

    other = {"project": f"{project}x", "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**other))
    call = stub.AppendEventStream()
    for number in range(10):
        await call.write(rpc.AppendEventStreamRequest(append=append(run, number)))
        await call.write(rpc.AppendEventStreamRequest(append=append(other, number)))
    await call.done_writing()
    answers = [answer async for answer in call]

    assert {quota(each.error)[0] for each in answers[::2]} == {"events"}
    assert all(each.HasField("appended") for each in answers[1::2])


async def test_streams_over_grpc_and_http(
    stub: Any, http: httpx.AsyncClient, run: dict[str, str], set_limits: SetLimits
) -> None:
    await set_limits(streams=2)
    follow = rpc.StreamEventsRequest(**run, follow=True)
    followed, pipelined = stub.StreamEvents(follow), stub.AppendEventStream()
    await followed.read()
    await pipelined.write(rpc.AppendEventStreamRequest(append=append(run)))
    await pipelined.read()

    assert (await refusal(stub.StreamEvents(follow).read()))[0] == "streams"
    path = f"/api/v1/runs/{run['run_id']}/events"
    sse = await http.get(path, headers={"Accept": "text/event-stream"})
    assert sse.status_code == 429
    third = stub.AppendEventStream()
    await third.write(rpc.AppendEventStreamRequest(append=append(run, 1)))
    assert quota((await third.read()).error)[0] == "streams"
    third.cancel()

    async def opens() -> bool:
        again = stub.StreamEvents(follow)
        try:
            return bool(await again.read())
        except grpc.RpcError:
            return False
        finally:
            again.cancel()

    followed.cancel()
    await until(opens)
    pipelined.cancel()


async def test_an_upload_is_slowed_down(
    channel: grpc.aio.Channel, run: dict[str, str], set_limits: SetLimits
) -> None:
    await set_limits(bytes_per_second=200_000)
    header = artifacts.ArtifactHeader(**run, name="report")

    async def chunks() -> AsyncIterator[artifacts.UploadArtifactRequest]:
        yield artifacts.UploadArtifactRequest(header=header)
        for _ in range(5):
            yield artifacts.UploadArtifactRequest(chunk=b"x" * 100_000)

    began = asyncio.get_running_loop().time()
    uploaded = await ArtifactServiceStub(channel).UploadArtifact(chunks())

    assert uploaded.artifact.size == 500_000
    assert asyncio.get_running_loop().time() - began >= 1.4


async def test_a_full_project_stores_no_more_until_something_is_deleted(
    stub: Any, channel: grpc.aio.Channel, run: dict[str, str], set_limits: SetLimits
) -> None:
    put = rpc.PutSnapshotRequest(**run, snapshot=Snapshot(snapshot_id="s"))
    put.snapshot.state["a"].json = f'"{"x" * 3000}"'
    await stub.PutSnapshot(put)
    await set_limits(stored_bytes=2000)
    asked = admin.GetLimitsRequest(project=run["project"])

    async def used() -> int:
        found = await AdminServiceStub(channel).GetLimits(asked)
        return int(found.stored_bytes_used)

    async def is_refused() -> bool:
        return bool(await refused_of([stub.AppendEvent(append(run))]))

    await until(is_refused)
    full = await used()
    stream = stub.AppendEventStream()
    await stream.write(rpc.AppendEventStreamRequest(append=append(run)))
    await stream.done_writing()
    header = artifacts.ArtifactHeader(**run, name="report")
    upload = iter([artifacts.UploadArtifactRequest(header=header)])
    many = rpc.AppendManyRequest(project=run["project"], appends=[append(run)])
    for call in (
        *(stub.SaveRun(rpc.SaveRunRequest(**run)), stub.PutSnapshot(put), stub.AppendMany(many)),
        ArtifactServiceStub(channel).UploadArtifact(upload),
    ):
        assert await refusal(call) == ("stored_bytes", 60)
    assert quota((await stream.read()).error) == ("stored_bytes", 60)
    await stub.ResumeRun(rpc.ResumeRunRequest(**run))
    await stub.DeleteSnapshots(rpc.DeleteSnapshotsRequest(**run, snapshot_ids=["s"]))

    async def is_taken() -> bool:
        return not await is_refused()

    await until(is_taken)
    assert await used() < 2000
    assert full > 3000


async def test_a_process_that_sums_nothing_learns_of_what_others_store(
    settings: Settings,
    database_url: str,
    db_schema: str,
    stub: Any,
    run: dict[str, str],
    set_limits: SetLimits,
) -> None:
    big = append(run)
    big.event.payload.json = f'"{"x" * 3000}"'
    other = App(
        settings.model_copy(update={"relay": False}), make_served_store(database_url, db_schema)
    )
    try:
        async with grpc.aio.insecure_channel(await other.start()) as to_other:
            elsewhere = RunServiceStub(to_other)
            await set_limits(stored_bytes=2000)
            await elsewhere.AppendEvent(append(run, 1))
            await stub.AppendEvent(big)

            async def is_refused() -> bool:
                return bool(await refused_of([elsewhere.AppendEvent(append(run, 1))]))

            await until(is_refused)
            assert (await refusal(elsewhere.AppendEvent(append(run, 2))))[0] == "stored_bytes"
    finally:
        await other.drain()


async def test_a_run_can_be_ended_in_a_full_project(
    stub: Any, run: dict[str, str], set_limits: SetLimits
) -> None:
    big = append(run)
    big.event.payload.json = f'"{"x" * 3000}"'
    await stub.AppendEvent(big)
    await set_limits(stored_bytes=1)

    async def is_refused() -> bool:
        return bool(await refused_of([stub.AppendEvent(append(run, 1))]))

    await until(is_refused)
    complete = rpc.CompleteRunRequest(**run, outcome=OUTCOME_SUCCEEDED, events=[Event(type="t")])
    done = await stub.CompleteRun(complete)

    assert done.status == RUN_STATUS_SUCCEEDED


async def test_clients_come_back_when_they_may(
    server_address: str, run: dict[str, str], set_limits: SetLimits
) -> None:
    await set_limits(events_per_second=20)
    async with runstore.connect(
        server_address, project=run["project"], gather=False, timeout=60
    ) as client:
        known, began = client.run("run"), asyncio.get_running_loop().time()
        await asyncio.gather(*(known.append("tick") for _ in range(40)))
        assert (await known.get()).last_seq == 40
        assert asyncio.get_running_loop().time() - began >= 0.9
