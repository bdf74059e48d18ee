"""The search's contract: what is published is found, in order, by project, filter and words."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runstore_storage.contract.errors import RunNotFound, SearchBehind
from runstore_storage.contract.events import Event
from runstore_storage.contract.feed import RELAY, SEARCH, FeedPoint
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.search import (
    SearchCursor,
    SearchFilter,
    SearchHit,
    SearchOrder,
    SearchQuery,
)
from runstore_storage.postgres import PostgresStore
from runstore_storage.search import postgres as postgres_search
from runstore_storage.search import windows as search_windows

ME, OTHER = "me", "other"
NEWEST = SearchOrder.NEWEST


@pytest.fixture
async def indexing(own: PostgresStore) -> PostgresStore:
    for duty in (RELAY, SEARCH):
        assert await own.feed.hold_duty(duty, ME) == 0
    return own


async def saved(store: PostgresStore, run_id: str = "run", project: str = "p") -> RunKey:
    return (await store.save_run(NewRun(project, run_id))).run.key


def said(text: str, **fields: object) -> Event:
    return Event("message", payload=Payload(json.dumps({"note": text})), **fields)


async def index(store: PostgresStore) -> None:
    while await store.feed.publish(ME):
        pass
    while await store.search.index_text(ME):
        pass


async def found(
    store: PostgresStore, text: str, *, project: str = "p", limit: int = 100, **query: object
) -> list[tuple[str, int]]:
    page = await store.search.search_events(project, SearchQuery(text, **query), limit=limit)
    return [(hit.run_id, hit.seq) for hit in page.hits]


async def all_pages(store: PostgresStore, query: SearchQuery, limit: int) -> list[SearchHit]:
    hits: list[SearchHit] = []
    after: SearchCursor | None = None
    while True:
        page = await store.search.search_events("p", query, limit=limit, after=after)
        hits.extend(page.hits)
        after = page.next_after
        if after is None:
            return hits
        assert page.hits


async def rows(store: PostgresStore) -> list[tuple[object, ...]]:
    async with store._engine.connect() as conn:
        driver = conn.driver
        return [
            tuple(row)
            for row in await driver.fetch(
                "SELECT run, seq, position, recorded_at, text, tsv FROM search_rows ORDER BY 3"
            )
        ]


async def test_what_is_published_and_indexed_is_found(indexing: PostgresStore) -> None:
    key = await saved(indexing)
    await indexing.append_events(key, [said("a red fox"), said("a blue whale")])
    before = await found(indexing, "fox")

    await index(indexing)
    page = await indexing.search.search_events("p", SearchQuery("fox"), limit=10)

    assert before == []
    (hit,) = page.hits
    assert (hit.run_id, hit.seq, hit.position, page.indexed_position) == ("run", 1, 1, 2)
    assert (hit.snippet.text, hit.snippet.highlights) == ("a red fox", ((6, 3),))
    assert (hit.recorded, page.next_after) == (None, None)
    assert hit.rank > 0


async def test_indexing_takes_the_duty(own: PostgresStore) -> None:
    key = await saved(own)
    await own.append_events(key, [said("fox")])
    await own.feed.hold_duty(RELAY, ME)
    await own.feed.publish(ME)

    without = await own.search.index_text(ME)
    await own.feed.hold_duty(SEARCH, OTHER)
    of_another = await own.search.index_text(ME)
    done = [await own.search.index_text(OTHER), await own.search.index_text(OTHER)]

    assert (without, of_another, done) == (None, None, [1, 0])
    assert await found(own, "fox") == [("run", 1)]


async def test_two_that_index_at_once_do_it_once(indexing: PostgresStore) -> None:
    key = await saved(indexing)
    await indexing.append_events(key, [said(f"fox {n}") for n in range(50)])
    await indexing.feed.publish(ME)

    done = await asyncio.gather(*(indexing.search.index_text(ME) for _ in range(4)))

    assert sorted(done) == [0, 0, 0, 50]
    assert len(await rows(indexing)) == 50


async def test_a_project_finds_only_its_own_events(indexing: PostgresStore) -> None:
    for project in ("p", "q", "p' & q"):
        await indexing.append_events(
            await saved(indexing, "run", project), [said(f"fox {project}")]
        )
    await index(indexing)

    for project in ("p", "q", "p' & q"):
        page = await indexing.search.search_events(project, SearchQuery("fox"), limit=1)
        assert [hit.snippet.text for hit in page.hits] == [f"fox {project}"]
    assert await found(indexing, "fox", project="r") == []


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (SearchFilter(), [1, 2, 3, 4]),
        (SearchFilter(run_ids=("run", "none")), [1, 2, 3]),
        (SearchFilter(run_ids=("none",)), []),
        (SearchFilter(types=("message", "x")), [1, 2, 4]),
        (SearchFilter(node_ids=("n'1\\",)), [2]),
        (SearchFilter(model="m"), [1, 2]),
        (SearchFilter(tool="grep"), [3]),
        (SearchFilter(tags=("a", "b c")), [2]),
        (SearchFilter(tags=("a",), model="m", types=("message",)), [1, 2]),
        (SearchFilter(tags=("b", "c")), []),
        (SearchFilter(recorded_from=datetime(2020, 1, 1, tzinfo=UTC)), [1, 2, 3, 4]),
        (SearchFilter(recorded_before=datetime(2020, 1, 1, tzinfo=UTC)), []),
    ],
)
async def test_filters_select(
    indexing: PostgresStore, where: SearchFilter, expected: list[int]
) -> None:
    run, other = await saved(indexing), await saved(indexing, "other")
    await indexing.append_events(
        run,
        [
            said("fox", model="m", tags=("a", "a")),
            said("fox", model="m", tags=("b c", "a"), node_id="n'1\\"),
            Event("called", payload=Payload('"fox"'), tool="grep"),
        ],
    )
    await indexing.append_events(other, [said("fox")])
    await index(indexing)

    page = await indexing.search.search_events("p", SearchQuery("fox", where, NEWEST), limit=10)

    assert sorted(hit.position for hit in page.hits) == expected


async def test_times_select_to_the_microsecond(indexing: PostgresStore) -> None:
    key = await saved(indexing)
    for _ in range(3):
        await indexing.append_events(key, [said("fox")])
    await index(indexing)
    at = [event.recorded_at for event in (await indexing.read_events(key, 1, limit=9)).events]

    for days in (0, 1, 500):
        where = SearchFilter(
            recorded_from=at[1] - timedelta(days=days) if days else at[1], recorded_before=at[2]
        )
        expected = [("run", 2)] if not days else [("run", 2), ("run", 1)]
        assert await found(indexing, "fox", where=where, order=NEWEST) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("fox", [1, 2, 5]),
        ("fox dog", [1, 2]),
        ('"fox dog"', [2]),
        ("whale or dog", [1, 2, 3]),
        ("fox -dog", [5]),
        ("FOX", [1, 2, 5]),
        ("foxes", []),
        ("the", [1]),
        ("app/main.py", [4]),
        ("main", [4]),
        ('"a b"', []),
    ],
)
async def test_queries_are_those_of_web_search(
    indexing: PostgresStore, query: str, expected: list[int]
) -> None:
    key = await saved(indexing)
    texts = ["the dog and the fox", "fox dog", "a whale", "app/main.py failed", "Fox"]
    await indexing.append_events(key, [said(text) for text in texts])
    payload = Payload('["a","b"]')
    await indexing.append_events(key, [Event("x", payload=payload)])
    await index(indexing)

    assert sorted(seq for _, seq in await found(indexing, query)) == expected


async def test_better_matches_come_first_and_newer_ones_among_equals(
    indexing: PostgresStore,
) -> None:
    key = await saved(indexing)
    texts = ["fox in a long text about many other things", "fox fox fox", "fox", "whale", "fox"]
    await indexing.append_events(key, [said(text) for text in texts])
    await index(indexing)

    assert [seq for _, seq in await found(indexing, "fox")] == [2, 5, 3, 1]
    assert [seq for _, seq in await found(indexing, "fox", order=NEWEST)] == [5, 3, 2, 1]


@pytest.mark.parametrize("order", SearchOrder)
async def test_pages_together_are_the_whole_listing(
    indexing: PostgresStore, order: SearchOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_windows, "BLOCK_BITS", (2, 4, 6, 8))
    monkeypatch.setattr(search_windows, "SMALLEST", 4)
    key = await saved(indexing)
    texts = ["fox" if n % 3 else "fox " * (n % 5) + "whale" for n in range(150)]
    await indexing.append_events(key, [said(text) for text in texts])
    await index(indexing)
    whole = [seq for seq, text in enumerate(texts, 1) if "fox" in text]

    for limit in (1, 7, 100):
        hits = await all_pages(indexing, SearchQuery("fox", order=order), limit)
        assert sorted(hit.seq for hit in hits) == whole
        keys = [(hit.rank, hit.position) for hit in hits]
        if order is NEWEST:
            keys = [(0.0, position) for _, position in keys]
        assert keys == sorted(keys, reverse=True)


@pytest.mark.parametrize("order", SearchOrder)
async def test_pages_do_not_move_while_events_come(
    indexing: PostgresStore, order: SearchOrder
) -> None:
    key = await saved(indexing)
    await indexing.append_events(key, [said("fox " * (n % 4 + 1)) for n in range(20)])
    await index(indexing)
    query = SearchQuery("fox", order=order)
    still = [hit.seq for hit in await all_pages(indexing, query, 100)]

    hits: list[int] = []
    after: SearchCursor | None = None
    while True:
        page = await indexing.search.search_events("p", query, limit=3, after=after)
        hits += [hit.seq for hit in page.hits]
        new = [said("fox fox fox fox fox"), said("fox among a good many other words")]
        await indexing.append_events(key, new)
        await index(indexing)
        after = page.next_after
        if after is None:
            break

    assert hits == still


async def test_only_the_newest_matches_are_ranked(
    indexing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_search, "RANKED_MATCHES", 5)
    key = await saved(indexing)
    await indexing.append_events(key, [said("fox " * (10 - n)) for n in range(10)])
    await index(indexing)

    ranked = await all_pages(indexing, SearchQuery("fox"), 2)
    newest = await all_pages(indexing, SearchQuery("fox", order=NEWEST), 2)

    assert [hit.seq for hit in ranked] == [6, 7, 8, 9, 10]
    assert [hit.seq for hit in newest] == [*range(10, 0, -1)]


async def test_events_come_along_and_large_ones_end_a_page(indexing: PostgresStore) -> None:
    key = await saved(indexing)
    large = Payload(json.dumps({"note": "fox", "rest": "x" * 700_000}))
    await indexing.append_events(key, [Event("x", payload=large)] * 3)
    await index(indexing)
    recorded = (await indexing.read_events(key, 1, limit=1)).events[0]

    query = SearchQuery("fox", order=NEWEST, with_events=True)
    page = await indexing.search.search_events("p", query, limit=10)
    hits = await all_pages(indexing, query, 10)

    assert len(page.hits) == 1
    assert [hit.seq for hit in hits] == [3, 2, 1]
    assert hits[-1].recorded == recorded


@pytest.mark.owner
async def test_a_rebuilt_index_is_the_same(indexing: PostgresStore) -> None:
    for name in ("a", "b"):
        key = await saved(indexing, name)
        await indexing.append_events(key, [said(f"fox {n} 東京", tags=("t",)) for n in range(30)])
        await index(indexing)
    before = await rows(indexing)

    await indexing.search.forget_text(OTHER)
    emptied = await rows(indexing)
    refused = await indexing.search.index_text(ME)
    while await indexing.search.index_text(OTHER):
        pass

    assert (emptied, refused) == ([], None)
    assert await rows(indexing) == before
    assert await indexing.search.indexed_position() == 60


async def test_a_writer_waits_for_its_event(indexing: PostgresStore) -> None:
    key = await saved(indexing)
    await indexing.append_events(key, [said("fox"), said("whale")])
    point = FeedPoint(run=key, seq=2)
    waiting = asyncio.create_task(indexing.search.wait_indexed(point, 60))
    await asyncio.wait([waiting], timeout=0.2)
    assert not waiting.done()

    await index(indexing)
    await asyncio.wait_for(waiting, 60)

    assert await found(indexing, "whale") == [("run", 2)]


async def test_waiting_ends_with_where_the_index_stands(indexing: PostgresStore) -> None:
    key = await saved(indexing)
    await indexing.append_events(key, [said("fox")])
    await index(indexing)
    await indexing.append_events(key, [said("whale")])
    search = indexing.search

    await search.wait_indexed(FeedPoint(1, key, 1), 0)
    with pytest.raises(SearchBehind) as by_position:
        await search.wait_indexed(FeedPoint(2), 0.05)
    with pytest.raises(SearchBehind) as unpublished:
        await search.wait_indexed(FeedPoint(run=key, seq=2), 0.05)
    with pytest.raises(SearchBehind):
        await search.wait_indexed(FeedPoint(run=key, seq=99), 0)
    with pytest.raises(RunNotFound):
        await search.wait_indexed(FeedPoint(run=RunKey("p", "none"), seq=1), 0)

    assert by_position.value.details == {"indexed_position": "1", "awaited_position": "2"}
    assert unpublished.value.details["awaited_position"] == "0"


HOSTILE = {
    "emoji": ("shipped 🚀🚀 👩‍👩‍👧 yes", "🚀"),
    "a family of emoji": ("shipped 👩‍👩‍👧", "👩‍👩‍👧"),
    "Chinese": ("我们在上海机场等飞机", "上海机场"),
    "one Chinese character": ("在上海", "海"),
    "Japanese": ("エラーが発生しました", "発生"),
    "Korean": ("학교에서 공부한다", "학교"),
    "Thai": ("สวัสดีครับ", "สวัสดี"),
    "Arabic": ("مرحبا بالعالم", "بالعالم"),
    "Hindi": ("नमस्ते दुनिया", "दुनिया"),
    "SQL": ("'; DROP TABLE search_rows; --", "drop table search_rows"),
    "tsquery signs": ("a & b | !c <-> (d):*", "a & b | !c <-> (d):*"),
    "backslashes": ("C:\\temp\\'x'\\", "C:\\temp\\'x'\\"),
    "quotes": ('he said "don\'t"', "don't"),
    "full width": ("ＨＥＬＬＯ　ｗｏｒｌｄ", "hello world"),  # noqa: RUF001 - the point
    "decomposed": ("cafe\u0301", "café"),
    "zero width": ("zero\u200bwidth", "width"),
    "long text": ("needle " + "hay " * 2_500_000, "needle"),
    "a long word": ("before " + "é" * 100_000 + " after", "after"),
    "many words": (" ".join(f"w{n}" for n in range(40_000)), "w9000"),
    "one word often": ("spam " * 13_000 + "ham", "spam ham"),
    "markup": ("<b onclick='x()'>bold</b>", "onclick bold"),
    "right to left marks": ("\u202eevil\u202c good", "evil"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_any_text_is_appended_indexed_and_found(store: PostgresStore, name: str) -> None:
    text, query = HOSTILE[name]
    project = f"hostile/{name}"

    await appended_and_indexed(store, project, Payload(json.dumps(text, ensure_ascii=False)))

    assert await found(store, query, project=project) == [("run", 1)]


@pytest.mark.parametrize(
    "content",
    [
        '"broken \\ud83d escape \\u0000 \\udc00"',
        "[" * 512 + '"escape"' + "]" * 512,
        '{"n": ' + "9" * 6000 + ', "t": "escape"}',
        '{"escape":"no","escape":"escape"}',
        '["' + "A" * 3_000_000 + '","escape"]',
        "[" + '"a",' * 60_000 + '"escape"]',
    ],
)
async def test_any_json_is_indexed(store: PostgresStore, project: str, content: str) -> None:
    await appended_and_indexed(store, project, Payload(content))

    assert len(await found(store, "escape or a", project=project)) == 1


async def appended_and_indexed(store: PostgresStore, project: str, payload: Payload) -> None:
    """The session's store is shared: its duties are taken as long as this needs them."""
    key = await saved(store, "run", project)
    (appended,) = await store.append_events(key, [Event("x", payload=payload)])
    async with asyncio.timeout(60):
        while True:
            for duty in (RELAY, SEARCH):
                await store.feed.hold_duty(duty, ME)
            await store.feed.publish(ME)
            await store.search.index_text(ME)
            try:
                await store.search.wait_indexed(FeedPoint(run=key, seq=appended.seq), 0.1)
            except SearchBehind:
                continue
            break
    for duty in (RELAY, SEARCH):
        await store.feed.release_duty(duty, ME)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just("data:a/b,c"),
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.dictionaries(
            st.text(max_size=5)
            | st.sampled_from(["role", "content", "type", "text", "messages", "model", "key"]),
            inside | st.sampled_from(["text", "function", "tool_result", "user"]),
            max_size=4,
        )
    ),
    max_leaves=30,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(payloads=st.lists(json_values, min_size=1, max_size=20), query=st.text(max_size=50))
async def test_no_json_and_no_query_breaks_search(
    indexing: PostgresStore, payloads: list[object], query: str
) -> None:
    key = await saved(indexing)
    before = await indexing.search.indexed_position()
    await indexing.append_events(
        key, [Event("x", payload=Payload(json.dumps(value))) for value in payloads]
    )
    await index(indexing)
    query = query.replace("\0", "").encode(errors="ignore").decode()

    page = await indexing.search.search_events("p", SearchQuery(query), limit=100)

    assert await indexing.search.indexed_position() == before + len(payloads)
    assert all(hit.run_id == "run" for hit in page.hits)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(text=st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Z"])))
async def test_a_text_is_found_by_its_own_beginning(indexing: PostgresStore, text: str) -> None:
    key = await saved(indexing)
    (appended,) = await indexing.append_events(key, [said(text)])
    await index(indexing)
    query = '"' + text[:60].replace('"', " ") + '"'

    page = await indexing.search.search_events("p", SearchQuery(query, order=NEWEST), limit=100)

    has_words = page.hits or not any(each.isalnum() for each in text[:60])
    assert has_words
    assert not page.hits or page.hits[0].seq == appended.seq
