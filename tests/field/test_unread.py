"""Streams that are never read take bounded memory, and one that is read goes on beside them."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import grpc
import httpx
import pytest
from conftest import server_environment
from e2e.servers import ServerProcess, serving
from runstore.errors import from_rpc
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from sse_client import opened

MEGABYTE = 1 << 20
LIMIT = 16 * MEGABYTE
# Of allocators, caches and connections, beside the messages.
ELSE = 64 * MEGABYTE
FLOOD = 120
EVENTS = 6
EVENTS_PATH = "/api/v1/runs/run/events"
EVENT = {"type": "t", "payload": {"json": f'"{"x" * MEGABYTE}"'}}
OWN_CONNECTION = [
    ("grpc.use_local_subchannel_pool", 1),
    # Of a stream that is not read a client takes no more than this.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1 << 16),
]


@pytest.fixture
def server(tmp_path: Path, database_url: str, db_schema: str) -> Iterator[ServerProcess]:
    settings = {"RUNSTORE_UNREAD_BYTES": str(LIMIT), "RUNSTORE_HTTP_TIMEOUT_SECONDS": "600"}
    environment = server_environment(database_url, db_schema) | settings
    with serving(tmp_path / "log", environment) as process:
        yield process


def resident_bytes(server: ServerProcess) -> int:
    assert server.process
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (kilobytes,) = re.findall(r"VmRSS:\s*(\d+) kB", status)
    return int(kilobytes) << 10


class OverGrpc:
    """Streams of a run, each over a connection of its own."""

    def __init__(self, server: ServerProcess, project: str, stack: AsyncExitStack) -> None:
        self._server = server
        self._request = rpc.StreamEventsRequest(project=project, run_id="run", follow=True)
        self._stack = stack

    async def never_read(self) -> None:
        await self._stream()

    async def seqs(self) -> AsyncIterator[int | str]:
        try:
            async for message in await self._stream():
                for event in message.events.events:
                    yield event.seq
        except grpc.RpcError as error:
            yield from_rpc(error).reason

    async def _stream(self) -> grpc.aio.UnaryStreamCall:
        channel = grpc.aio.insecure_channel(self._server.target, options=OWN_CONNECTION)
        await self._stack.enter_async_context(channel)
        return RunServiceStub(channel).StreamEvents(self._request)


class OverHttp:
    """Streams of a run as Server-Sent Events."""

    def __init__(self, server: ServerProcess, project: str, stack: AsyncExitStack) -> None:
        self._server = server
        self._project = project
        self._stack = stack

    async def never_read(self) -> None:
        connection = self._stack.enter_context(socket.socket())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        connection.connect(("127.0.0.1", self._server.http_port))
        head = f"GET {EVENTS_PATH}?project={self._project} HTTP/1.1\r\nHost: x"
        connection.sendall(f"{head}\r\nAccept: text/event-stream\r\n\r\n".encode())

    async def seqs(self) -> AsyncIterator[int | str]:
        client = await self._stack.enter_async_context(
            httpx.AsyncClient(base_url=self._server.http_target, timeout=600)
        )
        async with opened(client, EVENTS_PATH, project=self._project) as stream:
            while True:
                message = await stream.next()
                if message.type != "caught_up":
                    yield message.value["seq" if message.type == "message" else "reason"]


@pytest.mark.parametrize("over", [OverGrpc, OverHttp])
async def test_a_flood_of_streams_that_are_never_read_leaves_memory_and_a_reader(
    server: ServerProcess, over: type[OverGrpc] | type[OverHttp]
) -> None:
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.target))
        stub = RunServiceStub(channel)
        of_run = {"project": f"test/{uuid4().hex[:12]}", "run_id": "run"}
        await stub.SaveRun(rpc.SaveRunRequest(**of_run))
        for _ in range(EVENTS):
            await stub.AppendEvent(rpc.AppendEventRequest(**of_run, event=EVENT))
        streams = over(server, of_run["project"], stack)
        read = streams.seqs()
        assert [await anext(read) for _ in range(EVENTS)] == [*range(1, EVENTS + 1)]
        before = resident_bytes(server)

        for _ in range(FLOOD):
            await streams.never_read()

        assert await anext(streams.seqs()) == "OVERLOADED"
        assert resident_bytes(server) < before + 2 * LIMIT + ELSE
        await stub.AppendEvent(rpc.AppendEventRequest(**of_run, event=EVENT))
        assert await anext(read) == EVENTS + 1
