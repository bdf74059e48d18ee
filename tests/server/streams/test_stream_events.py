"""StreamEvents neither loses nor repeats, marks its progress, and ends with a status."""

import asyncio
import resource
from typing import Any

import grpc
import pytest
from conftest import make_served_store
from google.protobuf.duration_pb2 import Duration
from runstore.errors import from_rpc
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event, EventFilter
from runstore.v1.outputs_pb2 import OUTCOME_SUCCEEDED
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore_server.app import App

SOON = Duration(nanos=100_000_000)


class Run:
    """A run to write to and stream from."""

    def __init__(self, stub, project: str) -> None:
        self.stub = stub
        self.names = {"project": project, "run_id": "run"}

    async def save(self) -> None:
        await self.stub.SaveRun(rpc.SaveRunRequest(**self.names))

    async def append(self, count: int = 1, **fields: object) -> None:
        events = [Event(**{"type": "tick", **fields}) for _ in range(count)]
        for start in range(0, count, 1000):
            await self.stub.AppendEvents(
                rpc.AppendEventsRequest(**self.names, events=events[start : start + 1000])
            )

    async def complete(self) -> None:
        await self.stub.CompleteRun(rpc.CompleteRunRequest(**self.names, outcome=OUTCOME_SUCCEEDED))

    def stream(self, **fields: object):
        return self.stub.StreamEvents(rpc.StreamEventsRequest(**self.names, **fields))


@pytest.fixture
async def run(stub, project) -> Run:
    made = Run(stub, project)
    await made.save()
    return made


async def marks(call: Any) -> list[str | int]:
    """The rest of the stream as a list: seqs of events, names of marks."""
    seen: list[str | int] = []
    while (message := await call.read()) is not grpc.aio.EOF:
        seen += (
            [event.seq for event in message.events.events]
            if message.HasField("events")
            else [str(message.WhichOneof("message"))]
        )
    return seen


async def read_until(call, kind: str) -> list[rpc.StreamEventsResponse]:
    seen = []
    while True:
        message = await call.read()
        assert message is not grpc.aio.EOF
        seen.append(message)
        if message.WhichOneof("message") == kind:
            return seen


async def test_a_stream_that_does_not_follow_ends_at_the_current_end(run: Run) -> None:
    await run.append(3)

    assert await marks(run.stream(from_seq=0)) == [1, 2, 3, "caught_up"]
    assert await marks(run.stream(from_seq=2)) == [2, 3, "caught_up"]
    assert await marks(run.stream(from_seq=9)) == ["caught_up"]


async def test_a_late_subscriber_gets_the_past_then_the_present_then_the_end(run: Run) -> None:
    await run.append(3)
    call = run.stream(follow=True)
    await read_until(call, "caught_up")

    await run.append(2)
    await run.complete()

    assert await marks(call) == [4, 5, 6, "end_of_run"]


async def test_a_completed_run_ends_its_stream_whether_it_follows_or_not(run: Run) -> None:
    await run.append(1)
    await run.complete()

    for follow in (True, False):
        assert await marks(run.stream(follow=follow)) == [1, 2, "end_of_run"]
    assert await marks(run.stream(from_seq=3, follow=True)) == ["end_of_run"]


async def test_a_stream_may_wait_for_an_event_that_is_far_ahead(run: Run) -> None:
    call = run.stream(from_seq=3, follow=True)
    await read_until(call, "caught_up")

    await run.append(3)
    await run.complete()

    assert await marks(call) == [3, 4, "end_of_run"]


async def test_a_filter_selects_and_marks_still_advance(run: Run) -> None:
    await run.append(2, type="a", tags=["x"])
    await run.append(2, type="b")
    only_b = EventFilter(types=["b"])
    call = run.stream(filter=only_b, follow=True, heartbeat_interval=SOON)
    seen = await read_until(call, "caught_up")
    assert [event.seq for each in seen for event in each.events.events] == [3, 4]

    await run.append(5, type="a")

    heartbeats = [(await read_until(call, "heartbeat"))[-1].heartbeat.last_seq for _ in range(3)]
    assert heartbeats[-1] == 9
    await run.complete()
    assert [mark for mark in await marks(call) if mark != "heartbeat"] == ["end_of_run"]


async def test_a_silent_stream_beats(run: Run) -> None:
    call = run.stream(follow=True, heartbeat_interval=SOON)

    seen = await read_until(call, "heartbeat")
    await read_until(call, "heartbeat")

    assert [each.WhichOneof("message") for each in seen] == ["caught_up", "heartbeat"]
    call.cancel()


async def test_an_unknown_run_is_not_found_unless_it_is_waited_for(stub, project) -> None:
    run = Run(stub, project)
    with pytest.raises(grpc.RpcError) as caught:
        await marks(run.stream(follow=True))
    assert from_rpc(caught.value).reason == "RUN_NOT_FOUND"

    call = run.stream(follow=True, wait_for_run=True)
    await read_until(call, "caught_up")
    await run.save()
    await run.append(1)
    await run.complete()

    assert await marks(call) == [1, 2, "end_of_run"]


async def test_200_streams_of_one_run_all_see_all_of_it(run: Run) -> None:
    calls = [run.stream(follow=True) for _ in range(200)]
    await asyncio.gather(*(read_until(call, "caught_up") for call in calls))
    streams = [asyncio.create_task(marks(call)) for call in calls]

    for _ in range(10):
        await run.append(5)
    await run.complete()

    for stream in streams:
        seen = [mark for mark in await stream if mark != "caught_up"]
        assert seen == [*range(1, 52), "end_of_run"]


@pytest.mark.slow
async def test_100_000_events_are_read_back_then_followed(run: Run) -> None:
    await run.append(100_000)
    call = run.stream(follow=True)
    following = asyncio.create_task(marks(call))

    for _ in range(20):
        await run.append(10)
    await run.complete()

    seqs = [mark for mark in await following if isinstance(mark, int)]
    assert seqs == list(range(1, 100_202))


async def test_a_reader_that_stops_reading_costs_bounded_memory(run: Run) -> None:
    call = run.stream(follow=True)
    await read_until(call, "caught_up")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for _ in range(150):
        await run.append(1, payload=Payload(json='"' + "x" * (1 << 20) + '"'))

    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 100, "150 MB were appended"
    await run.complete()
    seqs = [mark for mark in await marks(call) if isinstance(mark, int)]
    assert seqs == list(range(1, 152))


async def test_a_draining_server_ends_streams_as_unavailable(
    settings, database_url, db_schema, project
) -> None:
    patient = settings.model_copy(update={"drain_seconds": 300})
    server = App(patient, make_served_store(database_url, db_schema))
    async with grpc.aio.insecure_channel(await server.start()) as channel:
        run = Run(RunServiceStub(channel), project)
        await run.save()
        call = run.stream(follow=True, heartbeat_interval=Duration(seconds=60))
        await read_until(call, "caught_up")

        draining = asyncio.create_task(server.drain())

        with pytest.raises(grpc.RpcError) as caught:
            await marks(call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert from_rpc(caught.value).reason == "SERVER_DRAINING"
        await asyncio.wait_for(draining, 60)
