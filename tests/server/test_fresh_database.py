"""The first calls on a database that has just been migrated, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import runstore
from conftest import make_served_store
from runstore import NewEvent
from runstore_server.app import App
from runstore_server.settings import Settings

SERVERS = 2
RUNS = 60


@pytest.fixture
async def clients(database_url: str, own_schema: str) -> AsyncIterator[list[runstore.AsyncClient]]:
    """Clients of servers, each of its own, that have not been called before."""
    settings = Settings(
        database_url=database_url, db_schema=own_schema, port=0, http=False, drain_seconds=5
    )
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(SERVERS):
            app = App(settings, make_served_store(database_url, own_schema))
            address = await app.start()
            stack.push_async_callback(app.drain)
            client = runstore.connect(address, project="acme", timeout=60)
            made.append(await stack.enter_async_context(client))
        yield made


@pytest.mark.slow
async def test_the_first_calls_at_once_on_a_fresh_database_do_not_fail(
    clients: list[runstore.AsyncClient], caplog: pytest.LogCaptureFixture
) -> None:
    async def first_calls(client: runstore.AsyncClient, number: int) -> int:
        run = await client.save_run(run_id=f"run {number}", tags=["a"], labels={"b": "c"})
        await asyncio.gather(
            run.append("said", {"text": "hello"}),
            run.append_many([NewEvent("one"), NewEvent("two", {"x": "y" * 70_000})]),
            run.snapshot(state={"number": number}),
            client.configs.register("prompt", f"p{number % 3}", {"n": number % 5}),
            client.feed.commit(f"consumer {number % 3}", 0),
            client.feed.read(),
        )
        await run.complete()
        return (await run.get()).last_seq

    answers = await asyncio.gather(
        *(first_calls(clients[number % SERVERS], number) for number in range(RUNS))
    )

    assert answers == [4] * RUNS
    assert not [each for each in caplog.records if each.exc_info]
