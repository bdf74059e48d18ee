"""What the feed costs the writers: appends a second with it and without.

    python -m bench.feed

Two servers on databases of their own take turns: one that neither publishes, counts nor indexes,
and one that does all of it, with a follower over HTTP and a webhook that takes every event.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from statistics import median

import httpx
import uvloop
from runstore_migrations import schema
from runstore_storage.embedded.postgres import EmbeddedPostgres

from bench.jobs import appends

ROUNDS = 5
SECONDS = 2.0
IN_FLIGHT = 32


@asynccontextmanager
async def webhook() -> AsyncIterator[str]:
    """An endpoint that takes everything."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@asynccontextmanager
async def serving(folder: Path, **environment: str) -> AsyncIterator[tuple[str, str]]:
    """A server over a database of its own: its addresses."""
    with EmbeddedPostgres(folder) as postgres:
        await schema.upgrade(postgres.url, "runstore")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runstore_server", "serve", "--port", "0", "--http-port", "0"),
            env={**os.environ, "RUNSTORE_DATABASE_URL": postgres.url, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout
        lines = [(await process.stdout.readline()).decode().split()[-1] for _ in range(2)]
        yield lines[0], lines[1].removeprefix("http://")
        process.terminate()
        await process.wait()


async def follow(address: str) -> None:
    """Read the project's feed over HTTP for ever."""
    url, headers = f"http://{address}/api/v1/feed", {"Accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(timeout=None) as http,
        http.stream("GET", url, headers=headers, params={"project": "bench"}) as stream,
    ):
        async for _ in stream.aiter_raw():
            pass


async def main() -> None:
    async with AsyncExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink = {
            "kind": "webhook",
            "name": "bench",
            "url": await stack.enter_async_context(webhook()),
        }
        off, _ = await stack.enter_async_context(serving(root / "off", RUNSTORE_RELAY="false"))
        on, http = await stack.enter_async_context(
            serving(root / "on", RUNSTORE_SINKS=json.dumps([sink]))
        )
        follower = asyncio.create_task(follow(http))
        runs = {each: (await appends.new_runs(each, IN_FLIGHT))["runs"] for each in (off, on)}
        rates: dict[str, list[float]] = {off: [], on: []}
        for number in range(ROUNDS + 1):
            for address, seen in rates.items():
                began = time.perf_counter()
                answer = await appends.unary(address, runs[address], IN_FLIGHT, SECONDS)
                if number:  # the first round warms up
                    seen.append(answer["count"] / (time.perf_counter() - began))
        follower.cancel()
    without, with_all = median(rates[off]), median(rates[on])
    print(f"AppendEvent, 32 in flight, without the feed     {without:8.0f}/s")
    print(f"with relay, counts, search, SSE follower, sink  {with_all:8.0f}/s")
    print(f"ratio {with_all / without:.2f}; rounds {[round(rate) for rate in rates[on]]}")


if __name__ == "__main__":
    uvloop.run(main())
