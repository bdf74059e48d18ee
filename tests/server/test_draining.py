"""A draining server finishes the calls in flight, within the time it is given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import grpc
import pytest
from conftest import make_served_store
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore_server.app import App
from runstore_server.edge.listening import CannotBind
from runstore_storage.database.opening import connect

HOLD = (
    "SELECT 1 FROM run_heads JOIN runs USING (run) WHERE runs.project = $1 FOR UPDATE OF run_heads"
)
LARGEST_LIMIT = 512 << 20
TAG_BYTES = 6  # tag and length of a field that is nearly as long
WAITING = "SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"


@asynccontextmanager
async def held(
    database_url: str, db_schema: str, project: str
) -> AsyncIterator[asyncpg.Connection]:
    """Keep every writer of the project's runs waiting."""
    conn = await connect(database_url, schema=db_schema, name="test")
    try:
        async with conn.transaction():
            await conn.execute(HOLD, project)
            yield conn
    finally:
        await conn.close()


async def until_a_writer_waits(conn: asyncpg.Connection) -> None:
    async with asyncio.timeout(60):
        while not await conn.fetchval(WAITING):
            pass


async def test_a_write_in_flight_is_acknowledged_before_the_server_is_gone(
    settings, database_url, db_schema, stub, project
) -> None:
    of_run = {"project": project, "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    server = App(settings, make_served_store(database_url, db_schema))
    async with grpc.aio.insecure_channel(await server.start()) as channel:
        append = rpc.AppendEventRequest(**of_run, event=Event(type="t"))
        async with held(database_url, db_schema, project) as conn:
            answer = asyncio.ensure_future(RunServiceStub(channel).AppendEvent(append))
            await until_a_writer_waits(conn)
            draining = asyncio.create_task(server.drain())
            await asyncio.wait([draining], timeout=0.1)
            assert not draining.done()

        assert (await answer).seq == 1
        await draining


async def test_a_call_that_takes_too_long_does_not_keep_the_server_from_ending(
    settings, database_url, db_schema, stub, project
) -> None:
    of_run = {"project": project, "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    brief = settings.model_copy(update={"drain_seconds": 0.1})
    store = make_served_store(database_url, db_schema)
    server = App(brief, store)
    async with grpc.aio.insecure_channel(await server.start()) as channel:
        append = rpc.AppendEventRequest(**of_run, event=Event(type="t"))
        async with held(database_url, db_schema, project) as conn:
            answer = asyncio.ensure_future(RunServiceStub(channel).AppendEvent(append))
            await until_a_writer_waits(conn)
            draining = asyncio.create_task(server.drain())
            with pytest.raises(grpc.RpcError):
                await answer
        await asyncio.wait_for(draining, 60)


async def test_health_says_not_serving_before_streams_end(
    settings, database_url, db_schema, stub, project
) -> None:
    of_run = {"project": project, "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    patient = settings.model_copy(update={"drain_seconds": 300})
    server = App(patient, make_served_store(database_url, db_schema))
    async with grpc.aio.insecure_channel(await server.start()) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        heartbeat = Duration(seconds=60)
        stream = RunServiceStub(channel).StreamEvents(
            rpc.StreamEventsRequest(**of_run, follow=True, heartbeat_interval=heartbeat)
        )
        await stream.read()

        draining = asyncio.create_task(server.drain())

        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        with pytest.raises(grpc.RpcError):
            await stream.read()
        await asyncio.wait_for(draining, 60)


async def test_a_port_that_is_taken_is_an_error(
    settings, server_address, database_url, db_schema
) -> None:
    port = int(server_address.rpartition(":")[2])
    store = make_served_store(database_url, db_schema)
    server = App(settings.model_copy(update={"port": port}), store)

    with pytest.raises(CannotBind, match=str(port)):
        await server.start()

    await server.drain()


@pytest.mark.slow
async def test_the_largest_request_limit_can_be_served(
    settings, database_url, db_schema, stub, project
) -> None:
    of_run = {"project": project, "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    largest = settings.model_copy(update={"max_request_bytes": LARGEST_LIMIT})
    server = App(largest, make_served_store(database_url, db_schema))
    async with grpc.aio.insecure_channel(await server.start()) as channel:
        request = rpc.GetRunRequest(**of_run).SerializeToString()
        # A field that this message does not have, so that the rest is ignored.
        request += Event(hash=bytes(LARGEST_LIMIT - len(request) - TAG_BYTES)).SerializeToString()
        assert len(request) == LARGEST_LIMIT

        answer = await channel.unary_unary("/runstore.v1.RunService/GetRun")(request)

    await server.drain()
    assert rpc.GetRunResponse.FromString(answer).run.run_id == "run"
