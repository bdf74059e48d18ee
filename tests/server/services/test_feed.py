"""FeedService: pages, streams and consumers over a server that relays."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import runstore
from runstore import Client, FeedEntry, FeedMark, NewEvent
from runstore.v1 import feed_service_pb2 as rpc
from runstore.v1.feed_service_pb2_grpc import FeedServiceStub
from runstore_storage.postgres import PostgresStore


async def taken(items: AsyncIterator[object], count: int) -> list[object]:
    async with asyncio.timeout(60):
        return [await anext(items) for _ in range(count)]


async def first_mark(client: runstore.AsyncClient, **where: object) -> int:
    """The feed's end as a stream that starts from the beginning finds it."""
    async for item in client.feed.follow(**where):
        if isinstance(item, FeedMark):
            return item.position
    raise AssertionError


async def test_a_follower_gets_the_past_and_then_the_present(client: runstore.AsyncClient) -> None:
    run = await client.save_run(run_id="run")
    expected = [(await run.append("past")).hash for _ in range(3)]
    items = client.feed.follow(heartbeat_seconds=1)
    got: list[FeedEntry] = []
    async with asyncio.timeout(60):
        while len(got) < 3:
            await _one_more(items, got)
        while isinstance(await _one_more(items, got), FeedEntry):
            pass
        expected += [(await run.append("present")).hash for _ in range(3)]
        while len(got) < 6:
            await _one_more(items, got)
    await items.aclose()

    assert [each.event.hash for each in got] == expected


async def _one_more(items: AsyncIterator[object], got: list[FeedEntry]) -> object:
    """The next item, put to the others where it is an entry."""
    item = await anext(items)
    if isinstance(item, FeedEntry):
        got.append(item)
    return item


async def test_pages_hold_what_streams_deliver(client: runstore.AsyncClient) -> None:
    for name in "ab":
        run = await client.save_run(run_id=name)
        await run.append_many([NewEvent("x"), NewEvent("y")])
    followed = [item async for item in _until_live(client)]

    paged: list[FeedEntry] = []
    page = await client.feed.read(page_size=3)
    while page.entries:
        paged.extend(page.entries)
        page = await client.feed.read(page.next_position, page_size=3)

    assert paged == followed
    assert [each.run_id for each in paged] == ["a", "a", "b", "b"]
    assert page.next_position > page.last_position


async def _until_live(client: runstore.AsyncClient) -> AsyncIterator[FeedEntry]:
    """What a new follower gets until four entries came and it is live."""
    got = 0
    async for item in client.feed.follow(heartbeat_seconds=0.5):
        if isinstance(item, FeedEntry):
            got += 1
            yield item
        elif got == 4:
            return


async def test_a_filter_that_matches_nothing_shows_progress(client: runstore.AsyncClient) -> None:
    run = await client.save_run(run_id="run")
    items = client.feed.follow(types=["none"], heartbeat_seconds=0.2)
    live = await anext(items)
    await run.append("x")

    marks = [live]
    async with asyncio.timeout(60):
        while (await client.feed.read()).entries == () or marks[-1].position == live.position:
            marks.append(await anext(items))

    assert all(isinstance(mark, FeedMark) for mark in marks)
    assert marks[0].is_live
    (entry,) = (await client.feed.read()).entries
    assert entry.position <= marks[-1].position
    await items.aclose()


async def test_labels_and_tags_select(client: runstore.AsyncClient) -> None:
    red = await client.save_run(run_id="red", labels={"team": "red"})
    blue = await client.save_run(run_id="blue", labels={"team": "blue"})
    await red.append("x", tags=["hot"])
    await red.append("y")
    await blue.append("x", tags=["hot"])
    while len((await client.feed.read()).entries) < 3:
        await first_mark(client)

    by_label = (await client.feed.read(labels={"team": "red"})).entries
    by_both = (await client.feed.read(labels={"team": "red"}, tags=["hot"])).entries

    assert [(each.run_id, each.event.type) for each in by_label] == [("red", "x"), ("red", "y")]
    assert [each.event.type for each in by_both] == ["x"]


async def test_a_consumer_resumes_where_it_committed(client: runstore.AsyncClient) -> None:
    run = await client.save_run(run_id="run")
    await run.append_many([NewEvent("x")] * 6)
    first = client.feed.entries(consumer="indexer")
    seen = await taken(first, 3)
    await first.aclose()
    assert isinstance(seen[-1], FeedEntry)

    committed = await client.feed.commit("indexer", seen[-1].position)
    second = client.feed.entries(consumer="indexer")
    rest = await taken(second, 3)
    await second.aclose()

    assert committed == await client.feed.consumer("indexer")
    assert [each.event.seq for each in [*seen, *rest] if isinstance(each, FeedEntry)] == [
        *range(1, 7)
    ]


async def test_consumers_are_reset_and_listed(client: runstore.AsyncClient) -> None:
    for name in ("b", "a"):
        await client.feed.commit(name, 0)
    await client.feed.reset("a", 0)

    assert [each.name async for each in client.feed.consumers()] == ["a", "b"]
    with pytest.raises(runstore.ConsumerNotFound):
        await client.feed.consumer("c")
    with pytest.raises(runstore.PositionAhead) as caught:
        await client.feed.commit("a", 1 << 60)
    assert int(caught.value.metadata["last_position"]) < 1 << 60


async def test_consumers_are_paged_by_tokens(server_address: str, project: str) -> None:
    async with grpc.aio.insecure_channel(server_address) as channel:
        stub = FeedServiceStub(channel)
        for number in range(5):
            await stub.CommitPosition(
                rpc.CommitPositionRequest(project=project, consumer=f"c{number}")
            )
        names: list[str] = []
        token = ""
        while True:
            page = await stub.ListConsumers(
                rpc.ListConsumersRequest(project=project, page_size=2, page_token=token)
            )
            names += [each.name for each in page.consumers]
            token = page.next_page_token
            if not token:
                break

    assert names == [f"c{number}" for number in range(5)]


async def test_a_start_is_a_position_or_a_consumer(server_address: str, project: str) -> None:
    async with grpc.aio.insecure_channel(server_address) as channel:
        call = FeedServiceStub(channel).FollowFeed(
            rpc.FollowFeedRequest(project=project, from_position=1, consumer="c")
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_synchronous_client_follows_too(
    client: runstore.AsyncClient, server_address: str, project: str
) -> None:
    run = await client.save_run(run_id="run")
    await run.append_many([NewEvent("x")] * 3)

    def follow() -> list[int]:
        with Client(server_address, project=project) as sync:
            seqs = []
            for entry in sync.feed.entries():
                seqs.append(entry.event.seq)
                sync.feed.commit("sync", entry.position)
                if len(seqs) == 3:
                    return seqs
        return seqs

    assert await asyncio.wait_for(asyncio.to_thread(follow), 60) == [1, 2, 3]
    assert (await client.feed.consumer("sync")).position > 0


async def test_drain_waits_for_publication_and_for_the_counts(
    client: runstore.AsyncClient, server_address: str, store: PostgresStore
) -> None:
    run = await client.save_run(run_id="run")
    await run.append_many([NewEvent("x")] * 10)

    await asyncio.wait_for(store.feed.drain(), 60)

    assert len((await client.feed.read()).entries) == 10
