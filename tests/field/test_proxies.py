"""Streams and writes of the Python client through real proxies, while the server restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import runstore
from e2e.servers import ServerProcess
from field.proxies import HaProxy, Nginx

EVENTS = 20


@pytest.fixture
def server(database_url: str, db_schema: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server process whose drain leaves streams no time."""
    process = ServerProcess(
        tmp_path / "server.log",
        {
            "RUNSTORE_DATABASE_URL": database_url,
            "RUNSTORE_DB_SCHEMA": db_schema,
            "RUNSTORE_DRAIN_SECONDS": "0",
        },
    )
    process.start()
    process.wait_until_serving()
    yield process
    process.stop()


@pytest_asyncio.fixture(params=[Nginx, HaProxy], ids=["nginx", "haproxy"])
async def proxied(
    request: pytest.FixtureRequest, server: ServerProcess, tmp_path: Path, project: str
) -> AsyncIterator[runstore.AsyncClient]:
    """A client that reaches the server through a proxy."""
    proxy = request.param(tmp_path / "proxy")
    proxy.start(server)
    async with runstore.connect(proxy.target, project=project, timeout=60) as client:
        yield client
    proxy.stop()


def restart(server: ServerProcess, *, is_killed: bool) -> None:
    if is_killed:
        server.kill()
    else:
        server.stop()
    server.start()


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
async def test_a_followed_stream_and_appends_survive_restarts_behind_a_proxy(
    proxied: runstore.AsyncClient, server: ServerProcess, is_killed: bool
) -> None:
    run = await proxied.save_run()

    async def follow() -> list[int]:
        return [event.seq async for event in run.events(follow=True)]

    following = asyncio.create_task(follow())
    async with proxied.appender() as appender:
        restarting = asyncio.create_task(asyncio.to_thread(restart, server, is_killed=is_killed))
        for number in range(EVENTS):
            await run.append("one", {"n": number})
            await appender.append(run, "pipelined", {"n": number})
        await restarting
    await run.complete()
    seen = await asyncio.wait_for(following, 60)

    assert seen == list(range(1, 2 * EVENTS + 2))
