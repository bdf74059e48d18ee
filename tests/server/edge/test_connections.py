"""What one gRPC connection may take of the server, and when a silent one is given up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from conftest import make_served_store
from field.switch import TcpSwitch
from runstore.errors import from_rpc
from runstore.v1 import artifact_service_pb2 as artifact_pb2
from runstore.v1 import feed_service_pb2 as feed_pb2
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from runstore.v1.feed_service_pb2_grpc import FeedServiceStub
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore_server.app import App
from runstore_server.edge import unread
from runstore_server.settings import Settings

MOST = 3
OWN_CONNECTION = [
    ("grpc.use_local_subchannel_pool", 1),
    # Of a stream that is not read a client takes no more than this.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1 << 16),
]


@pytest.fixture
async def serve(settings: Settings, database_url: str, db_schema: str) -> AsyncIterator[Callable]:
    """Starts a server with these settings, and returns it and its address."""
    async with AsyncExitStack() as stack:

        async def started(**changed: object) -> tuple[App, str]:
            changed |= {"drain_seconds": 0}
            server = App(
                settings.model_copy(update=changed), make_served_store(database_url, db_schema)
            )
            stack.push_async_callback(server.drain)
            return server, await server.start()

        yield started


def own_channel(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=OWN_CONNECTION)


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[RunServiceStub]:
    async with own_channel(address) as channel:
        yield RunServiceStub(channel)


async def follow(stub: RunServiceStub, project: str) -> grpc.aio.UnaryStreamCall:
    """A followed stream that has been answered."""
    call = stub.StreamEvents(
        rpc.StreamEventsRequest(project=project, run_id="run", follow=True), timeout=120
    )
    answer = await call.read()
    assert answer.HasField("caught_up")
    return call


def open_streams(server: App) -> float:
    labels = {"kind": "StreamEvents"}
    return server._metrics.registry.get_sample_value("runstore_open_streams", labels) or 0


async def all_ended(server: App) -> None:
    """Return when the server has no stream open."""
    async with asyncio.timeout(60):
        while open_streams(server):  # noqa: ASYNC110 - a metric cannot be waited for
            await asyncio.sleep(0.02)


async def test_a_connection_with_all_its_streams_open_is_refused_another_but_no_call(
    serve: Callable, project: str
) -> None:
    _, address = await serve(connection_streams=MOST)
    async with connected(address) as full, connected(address) as other:
        await full.SaveRun(rpc.SaveRunRequest(project=project, run_id="run"))
        streams = [await follow(full, project) for _ in range(MOST)]

        with pytest.raises(grpc.RpcError) as refused:
            await follow(full, project)

        error = from_rpc(refused.value)
        assert (error.reason, error.retry_after) == ("OVERLOADED", 1)
        assert "this connection has 3 open streams" in str(error)
        await full.GetRun(rpc.GetRunRequest(project=project, run_id="run"), timeout=120)
        await follow(other, project)
        assert not any(stream.done() for stream in streams)


async def test_every_kind_of_stream_counts(serve: Callable, project: str) -> None:
    _, address = await serve(connection_streams=1)
    async with connected(address) as stub:
        await stub.SaveRun(rpc.SaveRunRequest(project=project, run_id="run"))
        pipeline = stub.AppendEventStream(timeout=120)
        append = rpc.AppendEventRequest(project=project, run_id="run", event={"type": "t"})
        await pipeline.write(rpc.AppendEventStreamRequest(append=append))
        await pipeline.read()

        with pytest.raises(grpc.RpcError) as refused:
            await follow(stub, project)

        assert from_rpc(refused.value).reason == "OVERLOADED"


async def test_a_stream_that_ends_makes_room(serve: Callable, project: str) -> None:
    server, address = await serve(connection_streams=1)
    async with connected(address) as stub:
        await stub.SaveRun(rpc.SaveRunRequest(project=project, run_id="run"))
        (await follow(stub, project)).cancel()
        await all_ended(server)

        await follow(stub, project)


async def test_calls_beyond_what_a_connection_may_have_open_wait_for_their_turn(
    serve: Callable, project: str
) -> None:
    _, address = await serve(connection_streams=1)
    async with connected(address) as stub:
        await stub.SaveRun(rpc.SaveRunRequest(project=project, run_id="run"))
        request = rpc.GetRunRequest(project=project, run_id="run")

        answers = await asyncio.gather(*(stub.GetRun(request, timeout=120) for _ in range(500)))

        assert {answer.run.run_id for answer in answers} == {"run"}


async def unread_stream(stub: RunServiceStub, project: str) -> grpc.aio.UnaryStreamCall:
    """A stream that the server has begun to answer, and of which nothing is read."""
    call = stub.StreamEvents(
        rpc.StreamEventsRequest(project=project, run_id="run", follow=True), timeout=120
    )
    await call.initial_metadata()
    return call


async def save_large(stub: RunServiceStub, project: str) -> None:
    """A run of which each message of a stream has 1.1 MB."""
    of_run = {"project": project, "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    for _ in range(3):
        event = {"type": "t", "payload": {"json": f'"{"x" * 1_100_000}"'}}
        await stub.AppendEvent(rpc.AppendEventRequest(**of_run, event=event))


async def test_a_stream_waits_for_room_until_another_is_read(serve: Callable, project: str) -> None:
    _, address = await serve(unread_bytes=3_500_000)
    async with AsyncExitStack() as stack:
        stubs = [await stack.enter_async_context(connected(address)) for _ in range(3)]
        await save_large(stubs[0], project)
        streams = [await unread_stream(stub, project) for stub in stubs[:2]]
        waiting = asyncio.ensure_future(unread_stream(stubs[2], project))

        async with asyncio.TaskGroup() as reading:
            read = [reading.create_task(seqs_of(stream)) for stream in streams]
            late = await waiting
            read.append(reading.create_task(seqs_of(late)))

        assert [each.result() for each in read] == [[1, 2, 3]] * 3


@pytest.mark.parametrize("own", [True, False])
async def test_a_stream_that_finds_no_room_is_refused(
    serve: Callable, project: str, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread, "PATIENCE_SECONDS", 0.1)
    _, address = await serve(unread_bytes=2_000_000 if own else 3_500_000)
    async with AsyncExitStack() as stack:
        stubs = [await stack.enter_async_context(connected(address)) for _ in range(3)]
        await save_large(stubs[0], project)
        holding = stubs[:1] if own else stubs[:2]
        streams = [await unread_stream(stub, project) for stub in holding]

        with pytest.raises(grpc.RpcError) as refused:
            await seq_of_next(await unread_stream(stubs[0 if own else 2], project))

        error = from_rpc(refused.value)
        assert (error.reason, error.retry_after) == ("OVERLOADED", 1)
        for stream in streams:
            assert [await seq_of_next(stream) for _ in range(3)] == [1, 2, 3]


async def test_the_feed_and_downloads_need_room_as_well(
    serve: Callable, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread, "PATIENCE_SECONDS", 0.1)
    _, address = await serve(unread_bytes=1_500_000)
    async with connected(address) as stub, own_channel(address) as channel:
        await save_large(stub, project)
        artifacts = ArtifactServiceStub(channel)
        header = artifact_pb2.ArtifactHeader(project=project, run_id="run", name="a")
        chunks = [artifact_pb2.UploadArtifactRequest(chunk=bytes(1 << 20)) for _ in range(2)]
        await artifacts.UploadArtifact([artifact_pb2.UploadArtifactRequest(header=header), *chunks])
        download = artifact_pb2.DownloadArtifactRequest(project=project, run_id="run", name="a")
        stream = await unread_stream(stub, project)

        for call in (
            FeedServiceStub(channel).FollowFeed(feed_pb2.FollowFeedRequest(project=project)),
            artifacts.DownloadArtifact(download),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                async for _ in call:
                    pass
            assert from_rpc(refused.value).reason == "OVERLOADED"

        assert await seqs_of(stream) == [1, 2, 3]
        sizes = [len(answer.chunk) async for answer in artifacts.DownloadArtifact(download)]
        assert sum(sizes) == 2 << 20


async def seqs_of(stream: grpc.aio.UnaryStreamCall) -> list[int]:
    return [await seq_of_next(stream) for _ in range(3)]


async def seq_of_next(stream: grpc.aio.UnaryStreamCall) -> int:
    """The seq of the only event of the stream's next message."""
    (event,) = (await stream.read()).events.events
    return event.seq


@pytest.mark.slow
async def test_the_calls_of_a_client_that_is_gone_without_a_word_end(
    serve: Callable, project: str
) -> None:
    server, address = await serve(keepalive_seconds=0.5)
    with TcpSwitch(int(address.rpartition(":")[2])) as switch:
        async with connected(f"127.0.0.1:{switch.port}") as stub:
            await stub.SaveRun(rpc.SaveRunRequest(project=project, run_id="run"))
            await follow(stub, project)
            assert open_streams(server) == 1

            switch.fall_silent()

            await all_ended(server)
