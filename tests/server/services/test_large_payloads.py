"""Large payloads over a server that keeps them in its object store."""

from pathlib import Path

import pytest
import runstore
from runstore import FeedEntry, NewEvent, Payload
from runstore_server.app import App, open_store
from runstore_server.settings import Settings

PAYLOADS = [
    Payload('{"b":1.0,"a":"' + "x" * 5000 + '"}', "x/y"),
    Payload(b"\0" * 5000),
    Payload("1"),
]


@pytest.mark.parametrize("place", ["postgres", "objects"])
async def test_every_way_to_read_brings_the_same_bytes(
    settings: Settings,
    database_url: str,
    own_schema: str,
    project: str,
    tmp_path: Path,
    place: str,
) -> None:
    # Servers of one schema must have one object store.
    kept = {"payload_inline_bytes": 1024, "large_payloads": place, "db_schema": own_schema}
    configured = settings.model_copy(update={"objects_url": tmp_path.as_uri(), **kept})
    server = App(configured, open_store(configured, database_url))
    async with runstore.connect(await server.start(), project=project) as client:
        run = await client.save_run(run_id="run")
        await run.append_many([NewEvent("x", payload) for payload in PAYLOADS])
        await run.complete(payload=PAYLOADS[0])

        page = (await run.list_events()).events
        streamed = [event async for event in run.events(follow=True)]
        fed: list[FeedEntry] = []
        async for entry in client.feed.entries():
            fed.append(entry)
            if len(fed) == len(page):
                break
        output = (await run.output()).payload
        is_verified = (await run.verify()).verified
    await server.drain()

    assert [event.payload for event in page[:3]] == PAYLOADS
    assert list(page) == streamed == [entry.event for entry in fed]
    assert (output, is_verified) == (PAYLOADS[0], True)
    assert len(_objects(tmp_path)) == (2 if place == "objects" else 0)


def _objects(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
