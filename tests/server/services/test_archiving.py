"""Archived runs over a server: what reads them, and what tells that they are archived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import httpx
import pytest
import runstore
from conftest import make_served_store
from runstore_server.app import App
from runstore_server.settings import Settings


@dataclass
class Archived:
    """A run with three archived events and a later one, and what was read of it before."""

    client: runstore.AsyncClient
    http: httpx.AsyncClient
    events: list[runstore.Event]
    json: object

    @property
    def run(self) -> runstore.AsyncRun:
        return self.client.run("run")


async def done(client: runstore.AsyncClient, run_id: str) -> runstore.Archive:
    """The archive of a run once nothing more happens to it."""
    found = await client.admin.archive_run(run_id, "old", request_id="archive")
    async with asyncio.timeout(60):
        while found.state < runstore.ArchiveState.DONE:
            await asyncio.sleep(0.05)
            found = await client.admin.archive_run(run_id, "old", request_id="archive")
    return found


@pytest.fixture
async def archived(
    settings: Settings, database_url: str, own_schema: str, project: str
) -> AsyncIterator[Archived]:
    store = make_served_store(database_url, own_schema)
    server = App(settings.model_copy(update={"db_schema": own_schema, "drain_seconds": 1}), store)
    address = await server.start()
    async with (
        runstore.connect(address, project=project, timeout=60) as client,
        httpx.AsyncClient(
            base_url=f"http://{server.http_address}/api/v1",
            headers={"X-Runstore-Project": project},
            timeout=60,
        ) as http,
    ):
        ref = runstore.ExternalRef("airflow", "7", owns_status=True)
        run = await client.save_run(run_id="run", external_ref=ref)
        await run.append_many([runstore.NewEvent("tick", {"n": n}) for n in range(3)])
        assert (await done(client, "run")).state is runstore.ArchiveState.DONE
        found = Archived(client, http, [], None)
        found.events = list((await run.list_events(read_archive=True)).events)
        found.json = (await http.get("/runs/run/events?read_archive=true")).json()["events"]
        await run.append("later")
        yield found
    await server.drain()


Reading = Callable[[Archived, bool], Awaitable[object]]


async def streamed(of: Archived, read_archive: bool) -> list[runstore.Event]:
    return [each async for each in of.run.events(read_archive=read_archive)]


async def replayed(of: Archived, read_archive: bool) -> list[runstore.Event]:
    return list((await of.run.replay(read_archive=read_archive)).events)


async def listed(of: Archived, read_archive: bool) -> list[runstore.Event]:
    return list((await of.run.list_events(read_archive=read_archive)).events)


@pytest.mark.parametrize("read", [listed, streamed, replayed])
async def test_events_are_read_by_whoever_says_that_the_archive_may_be(
    archived: Archived, read: Callable[[Archived, bool], Awaitable[list[runstore.Event]]]
) -> None:
    found = await read(archived, True)

    assert found[:3] == archived.events
    assert [each.seq for each in found] == [1, 2, 3, 4]
    with pytest.raises(runstore.EventsArchived) as refused:
        await read(archived, False)
    assert (refused.value.first_seq, refused.value.snapshot_seq) == (4, 0)
    assert [each.seq for each in (await archived.run.list_events(4)).events] == [4]


async def test_a_chain_is_verified_through_the_archive(archived: Archived) -> None:
    found = await archived.run.verify(read_archive=True)

    assert (found.verified, found.checked_events) == (True, 4)
    with pytest.raises(runstore.EventsArchived):
        await archived.run.verify()


async def test_the_feed_says_where_it_is_whole(archived: Archived) -> None:
    async with asyncio.timeout(60):
        while (page := await archived.client.feed.read(4)).last_position < 4:  # noqa: ASYNC110 - the relay's work
            await asyncio.sleep(0.05)

    assert [entry.position for entry in page.entries] == [4]
    with pytest.raises(runstore.EventsArchived) as refused:
        await archived.client.feed.read()
    assert (refused.value.first_position, refused.value.first_seq) == (4, 4)
    gaps = await archived.client.feed.read(allow_gaps=True)
    assert [entry.position for entry in gaps.entries] == [4]
    with pytest.raises(runstore.EventsArchived):
        await anext(archived.client.feed.entries())
    entries = archived.client.feed.entries(allow_gaps=True)
    assert (await anext(entries)).position == 4
    await entries.aclose()


async def test_http_says_so_too(archived: Archived) -> None:
    http = archived.http
    for path in ("/runs/run/events", "/runs/run/verify", "/feed"):
        refused = await http.get(path)
        assert refused.json()["reason"] == "EVENTS_ARCHIVED", refused.text
    assert (await http.get("/runs/run/events?from_seq=4")).status_code == 200
    whole = (await http.get("/runs/run/events?read_archive=true")).json()["events"]
    assert whole[:3] == archived.json
    assert (await http.get("/runs/run/verify?read_archive=true")).json()["verified"]
    gaps = (await http.get("/feed?allow_gaps=true")).json()["entries"]
    assert {entry["run_id"] for entry in gaps} <= {"run"}
    stream = "/runs/run/events?read_archive=true&follow=false"
    sent = await http.get(stream, headers={"Accept": "text/event-stream"})
    assert [line for line in sent.text.splitlines() if line.startswith("id: ")][:3] == [
        *("id: 1", "id: 2", "id: 3")
    ]


async def test_a_restored_run_is_read_as_ever(archived: Archived) -> None:
    found = await archived.client.admin.restore_run("run", "case 7", request_id="restore")
    again = await archived.client.admin.restore_run("run", "case 7", request_id="restore")

    assert (found.state, again) == (runstore.ArchiveState.RESTORED, found)
    assert list((await archived.run.list_events()).events)[:3] == archived.events
    assert (await archived.run.verify()).verified
    with pytest.raises(runstore.ArchiveNotFound):
        await archived.client.admin.restore_run("run", "case 7")
    methods = [each.method async for each in archived.client.admin.records()]
    assert methods == ["RestoreRun", "RestoreRun", "ArchiveRun"]
    kinds = [each.kind async for each in archived.client.admin.removals("run")]
    assert kinds == [runstore.RemovalKind.EVENTS]
