"""How calls are sent: retried, answered elsewhere, given up."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
import runstore
from clients.script import BROKEN_PATH, Script, status
from conftest import make_served_store
from runstore.v1 import run_service_pb2 as rpc
from runstore_server.app import App
from until import until

# Some round trips on a long way, as of a connection with TLS.
FAR_SECONDS = 0.5


async def test_a_serving_server_is_healthy(client: runstore.AsyncClient) -> None:
    # A look at the database that began before a pause of the tests' loop is overdue after it.
    await until(client.health)
    assert await client.health("runstore.v1.RunService")
    async with runstore.connect("127.0.0.1:1", timeout=2) as nobody:
        with pytest.raises(runstore.Unavailable):
            await nobody.health()


async def append_async(address: str) -> int:
    async with runstore.connect(address) as client:
        return (await client.run("run").append("tick")).seq


async def append_sync(address: str) -> int:
    def append() -> int:
        with runstore.Client(address) as client:
            return client.run("run").append("tick").seq

    return await asyncio.to_thread(append)


@asynccontextmanager
async def far_from(address: str) -> AsyncIterator[str]:
    """The address of a path to the server on which a connection's first bytes take a while."""
    host, _, port = address.rpartition(":")

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(FAR_SECONDS)
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("append", [append_async, append_sync])
async def test_a_server_that_is_far_away_is_reached(script: Script, append) -> None:
    script.calls = [rpc.AppendEventResponse(seq=7)]
    async with far_from(script.address) as address:
        assert await append(address) == 7


async def test_calls_made_as_a_server_stops_are_answered_by_the_next(
    settings, database_url, db_schema, project
) -> None:
    async def start(port: int) -> tuple[App, str]:
        server = App(
            settings.model_copy(update={"port": port}), make_served_store(database_url, db_schema)
        )
        return server, await server.start()

    server, address = await start(0)
    async with runstore.connect(address, project=project, timeout=60) as client:
        runs = [await client.save_run() for _ in range(8)]
        watching = [asyncio.create_task(anext(run.events(follow=True))) for run in runs]
        writing = [asyncio.create_task(run.append("tick")) for run in runs]

        await server.drain()
        server, _ = await start(int(address.rpartition(":")[2]))

        written = await asyncio.wait_for(asyncio.gather(*writing), 60)
        watched = await asyncio.wait_for(asyncio.gather(*watching), 60)
    await server.drain()

    assert [each.seq for each in written] == [each.seq for each in watched] == [1] * 8


@pytest.mark.parametrize("append", [append_async, append_sync])
@pytest.mark.parametrize("code", BROKEN_PATH, ids=lambda code: code.name)
async def test_a_call_is_repeated_after_every_status_of_a_broken_path(
    script: Script, append, code
) -> None:
    script.dropped_as = code
    script.calls = [None, rpc.AppendEventResponse(seq=7)]

    assert await append(script.address) == 7

    first, second = script.requests
    assert first == second


@pytest.mark.parametrize("append", [append_async, append_sync])
@pytest.mark.parametrize("code", BROKEN_PATH, ids=lambda code: code.name)
async def test_a_call_that_the_server_refused_is_not_repeated(script: Script, append, code) -> None:
    script.dropped_as, script.dropped_with = code, status(code.value[0], "INTERNAL")
    script.calls = [None]

    with pytest.raises(runstore.Internal):
        await append(script.address)

    assert len(script.requests) == 1


async def test_a_closed_client_does_not_retry(script) -> None:
    script.streams = [[...]]
    opened = runstore.Client(script.address)
    stream = opened.run("run").stream()
    reading = asyncio.create_task(asyncio.to_thread(list, stream))
    await script.was_asked.wait()

    await asyncio.to_thread(opened.close)

    with pytest.raises(runstore.ClientClosed):
        await asyncio.wait_for(reading, 60)
    assert script.asked == [1]


class Silent(grpc.GenericRpcHandler):
    """A server whose streams go dead without ending."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def service(self, handler_call_details):
        async def hang(request, context):
            self.requests.append(request)
            await asyncio.Event().wait()
            yield b""

        return grpc.unary_stream_rpc_method_handler(hang)


async def test_a_stream_that_falls_silent_is_reopened_then_given_up() -> None:
    handler = Silent()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with runstore.connect(f"127.0.0.1:{port}") as client:
        stream = client.run("run").events(follow=True, heartbeat_seconds=0.3, patience_seconds=1.5)
        with pytest.raises(runstore.Unavailable, match="silent"):
            await anext(stream)
    await server.stop(0)

    assert len(handler.requests) >= 2


async def test_no_server_is_unavailable_within_the_timeout() -> None:
    async with runstore.connect("127.0.0.1:1", timeout=0.5) as client:
        with pytest.raises((runstore.Unavailable, runstore.DeadlineExceeded)):
            await client.run("run").get()


async def test_the_synchronous_client_does_the_same(server_address, project) -> None:
    def use() -> tuple[list[str], bool, str]:
        with runstore.Client(server_address, project=project) as client:
            run = client.save_run("sync")
            run.append("a", {"n": 1})
            run.snapshot(state={"x": 1}, snapshot_id="s")
            assert run.delete_snapshots(["s"]).snapshots == 1
            resumed = client.resume(run.run_id, expected_seq=1)
            resumed.run.complete(payload={"ok": True})
            types = [event.type for event in run.events(follow=True)]
            output = run.output().payload
            assert output is not None
            return types, run.verify().verified, json.dumps(output.value())

    types, is_verified, output = await asyncio.to_thread(use)

    assert types == ["a", "run.resumed", "run.completed"]
    assert is_verified
    assert output == '{"ok": true}'
