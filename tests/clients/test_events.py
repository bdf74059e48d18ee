"""Events, as they are appended, read and followed."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import runstore
from conftest import make_served_store
from runstore_server.app import App


async def test_an_event_comes_back_with_every_field(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    sent = runstore.NewEvent(
        "tool.called",
        {"query": "ü", "n": 1.5},
        event_id="e",
        node_id="n",
        actor="a",
        model="m",
        tool="t",
        tags=["x", "y"],
        usage=runstore.Usage(1, 2, 3, 4, timedelta(microseconds=5)),
        trace_parent="00-1-2-01",
        occurred_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    )

    appended = await run.append(sent)

    (found,) = [event async for event in run.events()]
    assert (found.seq, found.hash) == (appended.seq, appended.hash)
    assert found.payload is not None
    assert found.payload.content == '{"query":"ü","n":1.5}'
    for name in ("type", "node_id", "actor", "model", "tool", "usage", "occurred_at"):
        assert getattr(found, name) == getattr(sent, name)


async def test_fields_beside_a_new_event_are_refused(client: runstore.AsyncClient) -> None:
    with pytest.raises(TypeError):
        await client.run("run").append(runstore.NewEvent("a"), {"lost": True})


async def test_a_page_of_events_is_filtered(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    await run.append_many([runstore.NewEvent(each) for each in "abab"])

    page = await run.list_events(types=["b"], page_size=1)
    rest = await run.list_events(page.next_from_seq, types=["b"])

    assert [event.seq for event in (*page.events, *rest.events)] == [2, 4]


async def test_a_stream_survives_server_restarts_without_loss_or_repeat(
    settings, database_url, db_schema, project
) -> None:
    async def start(port: int) -> tuple[App, str]:
        server = App(
            settings.model_copy(update={"port": port}), make_served_store(database_url, db_schema)
        )
        return server, await server.start()

    server, address = await start(0)
    port = int(address.rpartition(":")[2])
    async with runstore.connect(address, project=project, timeout=60) as client:
        run = await client.save_run()

        async def watch() -> list[int]:
            stream = run.events(follow=True, heartbeat_seconds=0.5)
            return [event.seq async for event in stream]

        watching = asyncio.create_task(watch())
        for _ in range(3):
            await run.append_many([runstore.NewEvent("tick") for _ in range(100)])
            await server.drain()
            server, _ = await start(port)
        await run.complete()
        seen = await asyncio.wait_for(watching, 60)
        await server.drain()

    assert seen == list(range(1, 302))
