"""How long HTTP clients may take, and how many connections there may be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from until import until

EVENTS = 24
HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"


@asynccontextmanager
async def connected(own) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, _, port = own.app.http_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 12)
    try:
        yield reader, writer
    finally:
        writer.close()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What is left to read until the server closes the connection."""
    async with asyncio.timeout(60):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def test_a_client_that_does_not_finish_a_requests_head_is_cut_off(own_server) -> None:
    async with own_server(http_timeout_seconds=0.3) as own, connected(own) as (reader, writer):
        writer.write(HEAD)

        assert await rest_of(reader) == b""


async def test_a_client_that_sends_nothing_is_cut_off(own_server) -> None:
    async with own_server(http_timeout_seconds=0.3) as own, connected(own) as (reader, _):
        assert await rest_of(reader) == b""


async def test_the_head_of_a_later_request_is_waited_for_no_longer(own_server) -> None:
    async with own_server(http_timeout_seconds=1.5) as own, connected(own) as (reader, writer):
        writer.write(HEAD + b"\r\n")
        assert b"200 OK" in await reader.readline()
        writer.write(HEAD)

        assert b"HTTP/1.1" not in await rest_of(reader)


async def test_a_connection_too_many_is_refused_until_another_is_closed(own_server) -> None:
    async with own_server(http_connections=1) as own:
        async with connected(own) as (first, writer):
            writer.write(HEAD + b"\r\n")
            assert b"200 OK" in await first.readline()
            async with connected(own) as (reader, _):
                assert (await rest_of(reader)).startswith(b"HTTP/1.1 503 ")
        await until(lambda: not own.app._http._uvicorn.server_state.connections)

        async with connected(own) as (reader, writer):
            writer.write(HEAD + b"Connection: close\r\n\r\n")
            assert b"200 OK" in await rest_of(reader)


async def test_a_stream_that_is_not_read_ends(own_server, project: str) -> None:
    async with own_server(http_timeout_seconds=1.5) as own:
        run = await own.client.save_run(run_id="run")
        for _ in range(EVENTS):
            await run.append("t", payload=b"x" * (1 << 20))
        async with connected(own) as (reader, writer):
            writer.write(
                f"GET /api/v1/runs/run/events?project={project} HTTP/1.1\r\n"
                "Host: x\r\nAccept: text/event-stream\r\n\r\n".encode()
            )
            assert b"200 OK" in await reader.readline()

            metrics = own.app._metrics.registry
            await until(
                lambda: not metrics.get_sample_value("runstore_open_streams", {"kind": "sse"})
            )
