"""Bursts and floods: every call gets an answer with a reason, and neighbours keep working."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from conftest import server_environment
from e2e.servers import ServerProcess, serving
from field.raw_http2 import resetting
from runstore.errors import from_rpc
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.run_service_pb2_grpc import RunServiceStub

pytestmark = pytest.mark.slow

SECONDS = 300
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, database_url: str, db_schema: str
) -> Iterator[ServerProcess]:
    log: Path = tmp_path_factory.mktemp("floods") / "log"
    with serving(log, server_environment(database_url, db_schema)) as process:
        yield process


@pytest.fixture
async def stubs(server: ServerProcess) -> AsyncIterator[tuple[RunServiceStub, RunServiceStub]]:
    """Two clients, each with a connection of its own."""
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(server.target, options=OWN_CONNECTION)
            )
            for _ in range(2)
        ]
        yield RunServiceStub(one), RunServiceStub(other)


async def outcome(call: Awaitable[object]) -> str:
    """OK, or the status' code with our reason."""
    try:
        await call
    except grpc.RpcError as error:
        return f"{error.code().name} {from_rpc(error).reason}"
    return "OK"


async def outcomes(calls: list[Awaitable[object]]) -> Counter[str]:
    return Counter(await asyncio.gather(*map(outcome, calls)))


async def saved(stub: RunServiceStub) -> dict[str, str]:
    of_run = {"project": f"test/{uuid4().hex[:12]}", "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    return of_run


async def test_thousands_of_calls_at_once_are_all_answered(stubs) -> None:
    stub, _ = stubs
    request = rpc.GetRunRequest(**await saved(stub))

    found = await outcomes([stub.GetRun(request, timeout=SECONDS) for _ in range(4000)])

    assert found == {"OK": 4000}


async def test_thousands_of_streams_at_once_are_followed_or_refused_with_a_reason(stubs) -> None:
    stub, other = stubs
    of_run = await saved(stub)
    request = rpc.StreamEventsRequest(**of_run, follow=True)
    streams = [stub.StreamEvents(request, timeout=SECONDS) for _ in range(3000)]

    found = await outcomes([stream.read() for stream in streams])

    assert found == {"OK": 1000, "RESOURCE_EXHAUSTED OVERLOADED": 2000}
    assert await outcome(other.GetRun(rpc.GetRunRequest(**of_run), timeout=SECONDS)) == "OK"


@pytest.mark.parametrize("item", ["1", "[]", '{"a":1}'])
async def test_calls_go_on_beside_the_check_of_a_large_text(stubs, item: str) -> None:
    stub, other = stubs
    of_run = await saved(stub)
    text = "[" + f"{item}," * (8_000_000 // (len(item) + 1)) + "1]"
    payload = {"json": text}
    large = rpc.AppendEventRequest(**of_run, event={"type": "t", "payload": payload})
    answered = 0

    appending = asyncio.ensure_future(stub.AppendEvent(large, timeout=SECONDS))
    while not appending.done():
        await other.GetRun(rpc.GetRunRequest(**of_run), timeout=SECONDS)
        answered += 1

    assert (await appending).seq == 1
    assert answered >= 10


async def test_a_client_that_resets_its_calls_does_not_hurt_another(
    server: ServerProcess, stubs
) -> None:
    stub, _ = stubs
    request = rpc.GetRunRequest(**await saved(stub))
    path = "/runstore.v1.RunService/GetRun"
    took, found = [], Counter[str]()

    with ExitStack() as stack:
        flood = [
            asyncio.to_thread(stack.enter_context, resetting(server.target, path, 10_000))
            for _ in range(4)
        ]
        flooding = asyncio.gather(*flood)
        while not flooding.done() or sum(found.values()) < 100:
            began = time.monotonic()
            found[await outcome(stub.GetRun(request, timeout=SECONDS))] += 1
            took.append(time.monotonic() - began)

    assert found.keys() == {"OK"}
    assert max(took) < 10
