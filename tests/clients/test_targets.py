"""Addresses without a server, or of another one, are reported at once and by name."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import runstore
from clients.script import Script, status
from field.switch import TcpSwitch
from ports import reserved_port
from runstore import InvalidArgument
from runstore.v1 import run_service_pb2 as rpc

DEAD = "127.0.0.1:1"


@pytest.mark.parametrize(
    "target",
    [
        "localhost",
        "localhost:",
        ":7411",
        "localhost:port",
        "localhost:0",
        "localhost:65536",
        "localhost:7411/",
        "local host:7411",
        "localhost:7411\n",
        "::1:7411",
        "a:1,b:2",
        "http://localhost:7411",
        "https://localhost:7411",
        "grpc://localhost:7411",
        "postgres://localhost:7411/db",
        "user@localhost:7411",
        7411,
    ],
)
@pytest.mark.parametrize("connect", [runstore.connect, runstore.Client])
def test_what_cannot_be_an_address_is_refused_when_a_client_is_made(
    connect: Callable[..., Any], target: Any
) -> None:
    with pytest.raises(InvalidArgument, match=r"^target: must"):
        connect(target)


@pytest.mark.parametrize(
    "target",
    [
        "localhost:7411",
        "localhost:1",
        "localhost:65535",
        "[::1]:7411",
        "runstore.acme-prod.svc.cluster.local:7411",
        "dns:///runstore:7411",
        "dns:runstore:7411",
        "ipv4:10.0.0.1:7411,10.0.0.2:7411",
        "ipv6:[::1]:7411",
        "unix:/run/runstore.sock",
    ],
)
async def test_addresses_of_every_kind_are_accepted(target: str) -> None:
    await runstore.connect(target).close()


def test_the_environments_address_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTORE_TARGET", "http://localhost:7411")

    with pytest.raises(InvalidArgument, match="without http://"):
        runstore.connect()


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("project", {"project": 5}),
        ("timeout", {"timeout": 0}),
        ("timeout", {"timeout": -1}),
        ("timeout", {"timeout": "5"}),
        ("timeout", {"timeout": float("nan")}),
        ("credentials", {"credentials": "secret"}),
        ("metadata", {"metadata": {"authorization": "x"}}),
        ("metadata[0]", {"metadata": ["authorization"]}),
        ("metadata[0][0]", {"metadata": [("Authorization", "x")]}),
        ("metadata[0][1]", {"metadata": [("authorization", 5)]}),
    ],
)
def test_other_options_are_checked_when_a_client_is_made(field: str, options: Any) -> None:
    with pytest.raises(InvalidArgument) as refused:
        runstore.connect(**options)

    assert refused.value.field == field


@pytest.fixture
def http_server() -> Iterator[str]:
    """The address of a server that speaks HTTP/1.1, as the port of the HTTP side does."""

    class Quiet(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["dead port", "HTTP port", "no such host"])
def nowhere(request: pytest.FixtureRequest, http_server: str) -> str:
    return {"dead port": DEAD, "HTTP port": http_server, "no such host": "nowhere.invalid:7411"}[
        request.param
    ]


async def get(client: runstore.AsyncClient) -> object:
    return await client.run("r").get()


async def stream(client: runstore.AsyncClient) -> object:
    return [event async for event in client.run("r").events(follow=True)]


async def append(client: runstore.AsyncClient) -> object:
    async with client.appender() as appender:
        return await (await appender.append(client.run("r"), "tick"))


async def upload(client: runstore.AsyncClient) -> object:
    return await client.artifacts.upload("r", "name", b"data")


async def health(client: runstore.AsyncClient) -> object:
    return await client.health()


CALLS = [get, stream, append, upload, health]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_a_first_call_that_reaches_no_server_is_tried_once_and_names_its_target(
    nowhere: str, call: Callable[[runstore.AsyncClient], Any]
) -> None:
    started = time.monotonic()
    async with runstore.connect(nowhere, timeout=300) as client:
        with pytest.raises(runstore.Unavailable) as failed:
            await call(client)

    assert f"no server answers at {nowhere}, tried once: " in str(failed.value)
    assert time.monotonic() - started < 60


SYNC_CALLS: dict[str, Callable[[runstore.Client], object]] = {
    "get": lambda client: client.run("r").get(),
    "stream": lambda client: list(client.run("r").events(follow=True)),
    "upload": lambda client: client.artifacts.upload("r", "name", b"data"),
    "health": lambda client: client.health(),
}


def append_and_wait(client: runstore.Client) -> object:
    with client.appender() as appender:
        return appender.append(client.run("r"), "tick").result()


@pytest.mark.parametrize(
    "call", [*SYNC_CALLS.values(), append_and_wait], ids=[*SYNC_CALLS, "append"]
)
def test_the_synchronous_client_tries_once_too(
    nowhere: str, call: Callable[[runstore.Client], object]
) -> None:
    with (
        runstore.Client(nowhere, timeout=300) as client,
        pytest.raises(runstore.Unavailable, match="tried once: "),
    ):
        call(client)


async def test_a_server_that_is_lost_later_is_named_with_the_time_it_was_tried(
    script: Script,
) -> None:
    script.calls = [rpc.AppendEventResponse(seq=1), *[None] * 100]
    async with runstore.connect(script.address, timeout=2) as client:
        await client.run("r").append("tick")
        with pytest.raises(runstore.Unavailable) as failed:
            await client.run("r").append("tick")

    said = rf"UNAVAILABLE: dropped \({script.address}, tried for [0-9.]+ s\)"
    assert re.fullmatch(said, str(failed.value))
    assert len(script.requests) > 2


async def test_a_stream_that_fails_names_the_target_and_the_time_too(script: Script) -> None:
    async with runstore.connect(script.address) as client:
        with pytest.raises(runstore.RunstoreError) as failed:
            await client.artifacts.upload("run", "name", iter([b"chunk"]))

    assert re.search(rf"\({script.address}, tried for [0-9.]+ s\)$", str(failed.value))


async def test_an_attempt_cut_short_by_the_deadline_does_not_hide_the_cause(
    script: Script,
) -> None:
    script.calls = [None, ...]
    async with runstore.connect(script.address, timeout=2) as client:
        with pytest.raises(runstore.Unavailable, match="dropped"):
            await client.run("r").append("tick")


async def test_a_refusal_of_the_server_stays_as_it_is(script: Script) -> None:
    script.dropped_with = status(5, "RUN_NOT_FOUND")
    script.calls = [None]
    async with runstore.connect(script.address) as client:
        with pytest.raises(runstore.RunNotFound) as failed:
            await client.run("r").append("tick")

    assert str(failed.value) == "RUN_NOT_FOUND: run_not_found"


async def test_after_a_refusal_a_server_that_is_lost_is_waited_for(script: Script) -> None:
    script.dropped_with = status(5, "RUN_NOT_FOUND")
    script.calls = [None, rpc.AppendEventResponse(seq=1)]
    port = int(script.address.rpartition(":")[2])
    with TcpSwitch(port) as path:
        async with runstore.connect(f"127.0.0.1:{path.port}") as client:
            with pytest.raises(runstore.RunNotFound):
                await client.run("r").append("tick")
            path.point_to(reserved_port())
            path.cut()
            asyncio.get_running_loop().call_later(0.3, path.point_to, port)

            stored = await client.run("r").append("tick")

    assert stored.seq == 1


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_a_closed_client_says_so(
    script: Script, call: Callable[[runstore.AsyncClient], Any]
) -> None:
    client = runstore.connect(script.address)
    await client.close()

    with pytest.raises(runstore.ClientClosed, match="the client was closed"):
        await call(client)


@pytest.mark.parametrize(
    "call", [*SYNC_CALLS.values(), append_and_wait], ids=[*SYNC_CALLS, "append"]
)
def test_a_closed_synchronous_client_says_so(call: Callable[[runstore.Client], object]) -> None:
    client = runstore.Client(DEAD)
    client.close()

    with pytest.raises(runstore.ClientClosed):
        call(client)


async def test_a_call_in_flight_as_the_client_closes_says_so(script: Script) -> None:
    script.streams = [[...]]
    client = runstore.connect(script.address)
    following = asyncio.create_task(stream(client))
    await script.was_asked.wait()

    await client.close()

    with pytest.raises((runstore.ClientClosed, asyncio.CancelledError)):
        await asyncio.wait_for(following, 60)
