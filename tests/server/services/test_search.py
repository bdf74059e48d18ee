"""SearchEvents over a server that relays and indexes, as clients of both kinds use it."""

import asyncio
import json
from collections.abc import AsyncIterator

import grpc
import pytest
import runstore
from runstore import Client, NewEvent, SearchHit
from runstore.v1 import search_pb2 as rpc
from runstore_server.cli.rebuild import rebuild
from runstore_server.convert.search import wait_seconds
from runstore_storage.contract.events import Event
from runstore_storage.contract.feed import RELAY, SEARCH
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.postgres import PostgresStore


async def collected(hits: AsyncIterator[SearchHit]) -> list[SearchHit]:
    return [hit async for hit in hits]


@pytest.fixture
async def fox_run(client: runstore.AsyncClient) -> runstore.AsyncRun:
    """A run whose events about foxes are searchable."""
    run = await client.save_run(run_id="run")
    await run.append_many(
        [
            NewEvent("message", {"role": "user", "content": "find the fox"}, tags=["t"]),
            NewEvent("tool.returned", {"content": "fox fox"}, tool="look", model="m"),
            NewEvent("message", {"role": "assistant", "content": "東京 has no whale"}, node_id="n"),
        ]
    )
    await collected(client.search("fox", after=("run", 3)))
    return run


async def test_a_writer_finds_what_it_wrote(client: runstore.AsyncClient) -> None:
    run = await client.save_run(run_id="run")
    for number in range(5):
        appended = await run.append("message", f"number {number}")

        hits = await collected(client.search(f"number {number}", after=("run", appended.seq)))

        assert [(hit.run_id, hit.seq) for hit in hits] == [("run", appended.seq)]


async def test_a_hit_says_where_and_why(
    fox_run: runstore.AsyncRun, client: runstore.AsyncClient
) -> None:
    (hit,) = await collected(client.search("東京", with_events=True))

    assert (hit.run_id, hit.seq, hit.snippet) == ("run", 3, "東京 has no whale")
    assert hit.highlights == ((0, 2),)
    assert hit.marked() == "[[東京]] has no whale"
    assert hit.event == (await fox_run.list_events(3)).events[0]
    assert hit.recorded_at == hit.event.recorded_at


@pytest.mark.parametrize(
    ("where", "seqs"),
    [
        ({}, [2, 1]),
        ({"newest_first": True}, [2, 1]),
        ({"types": ["message"]}, [1]),
        ({"tool": "look"}, [2]),
        ({"model": "m", "tool": "look"}, [2]),
        ({"model": "other"}, []),
        ({"tags": ["t"]}, [1]),
        ({"node_ids": ["n"]}, []),
        ({"run_ids": ["run", "none"]}, [2, 1]),
        ({"run_ids": ["none"]}, []),
    ],
)
async def test_filters_select(
    fox_run: runstore.AsyncRun,
    client: runstore.AsyncClient,
    where: runstore.SearchFields,
    seqs: list[int],
) -> None:
    assert [hit.seq for hit in await collected(client.search("fox", **where))] == seqs


@pytest.mark.parametrize("newest_first", [False, True])
async def test_pages_are_one_after_the_other(
    client: runstore.AsyncClient, newest_first: bool
) -> None:
    run = await client.save_run(run_id="run")
    await run.append_many([NewEvent("x", "fox " * (n % 3 + 1)) for n in range(25)])
    whole = await collected(
        client.search("fox", after=("run", 25), newest_first=newest_first, page_size=100)
    )

    paged = client.search("fox", newest_first=newest_first, page_size=4)
    hits = [await anext(paged) for _ in range(4)]
    await run.append("x", "fox fox fox fox")
    await collected(client.search("fox", after=("run", 26)))
    hits += await collected(paged)

    assert hits == whole
    assert len(hits) == 25


async def test_a_token_is_for_its_query(fox_run: runstore.AsyncRun, stub: object) -> None:
    request = rpc.SearchEventsRequest(project=fox_run.project, query="fox", page_size=1)
    first = await stub.SearchEvents(request)
    request.page_token = first.next_page_token
    second = await stub.SearchEvents(request)
    request.query = "whale"

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.SearchEvents(request)

    assert [hit.seq for hit in (*first.hits, *second.hits)] == [2, 1]
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert first.indexed_position >= first.hits[0].position


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "must have 1..1000 characters"),
        ("x " * 501, "must have 1..1000 characters"),
        ("a\0b", "NUL"),
        ("&!|", "holds no word"),
        ("-fox", "must look for a word"),
        ("fox or -whale", "must look for a word"),
    ],
)
async def test_a_query_that_looks_for_nothing_is_refused(
    client: runstore.AsyncClient, query: str, said: str
) -> None:
    with pytest.raises(runstore.InvalidRequest) as caught:
        await collected(client.search(query))

    ((field, description),) = caught.value.violations
    assert field == "query"
    assert said in description


@pytest.mark.parametrize(
    "query",
    [
        "'; DROP TABLE runs; --",
        "a & b | !c <-> (d):*",
        "x\\' \\\\ \"",
        "((((x",
        '"' * 999 + "a",
        "字",
        "🚀",
        "or or a or or",
        "a " * 500,
        "字" * 1000,
        "\ufdfa" * 1000,
        "%_ $1 :project",
    ],
)
async def test_no_query_breaks_the_server(
    fox_run: runstore.AsyncRun, client: runstore.AsyncClient, query: str
) -> None:
    assert isinstance(await collected(client.search(query)), list)


async def test_waiting_too_long_says_how_far_it_is(
    fox_run: runstore.AsyncRun, client: runstore.AsyncClient
) -> None:
    with pytest.raises(runstore.SearchBehind) as by_position:
        await collected(client.search("fox", min_position=1 << 60, wait_seconds=0))
    with pytest.raises(runstore.SearchBehind) as by_event:
        await collected(client.search("fox", after=("run", 99), wait_seconds=0.2))
    with pytest.raises(runstore.RunNotFound):
        await collected(client.search("fox", after=("none", 1)))
    reached = by_position.value.indexed_position
    assert reached >= 3
    assert by_event.value.metadata["awaited_position"] == "0"

    assert await collected(client.search("fox", min_position=reached))


@pytest.mark.parametrize(
    ("left", "seconds"), [(None, 30), (60.0, 30), (3.0, 2.75), (0.1, 0), (-1.0, 0)]
)
def test_a_wait_ends_before_the_call_does(left: float | None, seconds: float) -> None:
    request = rpc.SearchEventsRequest()
    request.wait.FromSeconds(30)

    assert wait_seconds(request, left) == pytest.approx(seconds)


async def test_a_search_is_bounded(stub: object) -> None:
    request = rpc.SearchEventsRequest(query="fox", page_size=101)
    request.filter.run_ids.extend(["r"] * 65)
    request.wait.FromSeconds(31)
    request.after.SetInParent()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.SearchEvents(request)

    fields = {field for field, _ in runstore.errors.from_rpc(caught.value).violations}
    assert fields == {"page_size", "filter.run_ids", "wait", "after.run_id", "after.seq"}


async def test_the_synchronous_client_searches_too(
    fox_run: runstore.AsyncRun, server_address: str
) -> None:
    def search() -> list[int]:
        with Client(server_address, project=fox_run.project) as sync:
            return [hit.seq for hit in sync.search("fox", page_size=1)]

    assert await asyncio.wait_for(asyncio.to_thread(search), 60) == [2, 1]


async def test_rebuilding_finds_the_same_and_shows_progress(own: PostgresStore) -> None:
    key = (await own.save_run(NewRun("p", "run"))).run.key
    payloads = [Payload(json.dumps(f"fox {number}")) for number in range(3)]
    await own.append_events(key, [Event("x", payload=each) for each in payloads])
    for duty in (RELAY, SEARCH):
        await own.feed.hold_duty(duty, "me")
    await own.feed.publish("me")
    await own.search.index_text("me")
    expected = await _texts(own)
    seen: list[tuple[int, int]] = []

    total = await rebuild(
        own,
        SEARCH,
        own.search.forget_text,
        own.search.index_text,
        lambda done, of: seen.append((done, of)),
    )

    assert (total, seen[0]) == (3, (0, 3))
    assert await _texts(own) == expected
    assert [(duty.name, duty.holder) for duty in await own.feed.list_duties()] == [
        (RELAY, "me"),
        (SEARCH, ""),
    ]


async def _texts(store: PostgresStore) -> list[tuple[object, ...]]:
    async with store._engine.connect() as conn:
        driver = conn.driver
        found = await driver.fetch("SELECT run, seq, position, text, tsv FROM search_rows")
        return [tuple(row) for row in found]
