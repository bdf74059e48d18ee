"""The feed's contract: one order, published once, read from anywhere."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from runstore_storage.contract.errors import ConsumerNotFound, PositionAhead
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.feed import (
    EVERY_ENTRY,
    EVERY_PROJECT,
    RELAY,
    SEARCH,
    STORED_BYTES,
    USAGE_COUNTS,
    DeadLetter,
    FeedEntry,
    FeedFilter,
    Lag,
    sink_duty,
)
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.feed.paging import SCANNED_EVENTS
from runstore_storage.feed.postgres import PostgresFeed
from runstore_storage.postgres import PostgresStore
from runstore_storage.sql import feed as feed_rows

ME, OTHER = "me", "other"


@pytest.fixture
async def relayed(own: PostgresStore) -> PostgresStore:
    assert await own.feed.hold_duty(RELAY, ME) == 0
    return own


async def saved(store: PostgresStore, run_id: str, *, project: str = "p", **born: object) -> RunKey:
    return (await store.save_run(NewRun(project, run_id, **born))).run.key


async def raw(store: PostgresStore, sql: str) -> list[tuple[object, ...]]:
    """What a statement beside the store finds."""
    async with store._engine.connect() as conn:
        driver = conn.driver
        return [tuple(row) for row in await driver.fetch(sql)]


async def publish(store: PostgresStore) -> int:
    published = 0
    while found := await store.feed.publish(ME):
        published += found
    return published


def places(entries: Sequence[FeedEntry]) -> list[tuple[int, str, int]]:
    return [(entry.position, entry.run_id, entry.recorded.seq) for entry in entries]


async def test_committed_events_get_consecutive_positions_in_order(relayed: PostgresStore) -> None:
    first, second = await saved(relayed, "a"), await saved(relayed, "b")
    await relayed.append_events(first, [Event("x"), Event("y")])
    await relayed.append_events(second, [Event("x")])
    await relayed.append_events(first, [Event("z")])

    assert await publish(relayed) == 4

    page = await relayed.feed.read_feed("p", 1, limit=10)
    assert places(page.entries) == [(1, "a", 1), (2, "a", 2), (3, "b", 1), (4, "a", 3)]
    assert (page.next_position, page.last_position) == (5, 4)
    assert page.entries[0].published_at >= page.entries[0].recorded.recorded_at


async def test_what_one_transaction_does_not_publish_the_next_ones_publish_in_order(
    relayed: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_rows, "PUBLISHED_RANGES", 2)
    keys = [await saved(relayed, run_id) for run_id in "ab"]
    for turn in range(5):
        await relayed.append_events(keys[turn % 2], [Event("x"), Event("y")])

    published = [await relayed.feed.publish(ME) for _ in range(4)]

    page = await relayed.feed.read_feed("p", 1, limit=10)
    found = [(entry.run_id, entry.recorded.seq) for entry in page.entries]
    assert published == [4, 4, 2, 0]
    assert found == [("ab"[turn % 2], turn // 2 * 2 + nth) for turn in range(5) for nth in (1, 2)]


async def test_what_is_not_published_is_not_read(relayed: PostgresStore) -> None:
    key = await saved(relayed, "a")
    await relayed.append_events(key, [Event("x")])

    before = await relayed.feed.read_feed("p", 1, limit=10)
    await publish(relayed)
    after = await relayed.feed.read_feed("p", 1, limit=10)

    assert (before.entries, before.next_position) == ((), 1)
    assert places(after.entries) == [(1, "a", 1)]


async def test_an_entry_is_the_event_as_it_was_recorded(relayed: PostgresStore) -> None:
    key = await saved(relayed, "a", labels={"team": "red"})
    payload = Payload('{"b":1.0,"a":"\\u0000","b":2}', "application/json")
    await relayed.append_events(key, [Event("x", payload=payload, usage=Usage(1, 2, 3, 4, 5))])
    await publish(relayed)

    (entry,) = (await relayed.feed.read_feed("p", 1, limit=10)).entries

    (recorded,) = (await relayed.read_events(key, 1, limit=1)).events
    assert (entry.recorded, entry.project, entry.labels) == (recorded, "p", {"team": "red"})


@pytest.mark.parametrize("size", [1, 2, 3, 12])
async def test_a_page_is_full_wherever_in_a_range_it_begins_and_ends(
    relayed: PostgresStore, size: int
) -> None:
    key = await saved(relayed, "a")
    for _ in range(0, 12, size):
        await relayed.append_events(key, [Event("x")] * size)
    await publish(relayed)

    page = await relayed.feed.read_feed("p", 4, limit=3)

    assert places(page.entries) == [(4, "a", 4), (5, "a", 5), (6, "a", 6)]
    assert (page.next_position, page.last_position) == (7, 12)


async def test_pages_together_are_the_whole_listing(
    relayed: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_rows, "PAGE_RANGES", 3)
    keys = [await saved(relayed, name, project=f"p{n % 2}") for n, name in enumerate("abcd")]
    for turn in range(7):
        for number, key in enumerate(keys):
            await relayed.append_events(key, [Event("x")] * (1 + (turn + number) % 3))
    await publish(relayed)
    whole = (await relayed.feed.read_for_duty(EVERY_PROJECT, 1, limit=1000)).last_position

    for limit in (1, 2, 5, 100):
        for read, project in (
            (relayed.feed.read_for_duty, EVERY_PROJECT),
            (relayed.feed.read_for_duty, "p0"),
            (relayed.feed.read_feed, "p1"),
        ):
            seen: list[FeedEntry] = []
            position = 0
            while position <= whole:
                page = await read(project, position, limit=limit)
                assert page.next_position > position
                seen.extend(page.entries)
                position = page.next_position
            wanted = [key for key in keys if project in (EVERY_PROJECT, key.project)]
            assert [e.position for e in seen] == sorted({e.position for e in seen})
            assert {e.run_id for e in seen} == {key.run_id for key in wanted}
            for key in wanted:
                last_seq = (await relayed.get_run(key)).last_seq
                seqs = [e.recorded.seq for e in seen if e.run_id == key.run_id]
                assert seqs == list(range(1, last_seq + 1))


async def test_a_project_sees_its_own_entries_and_gets_past_those_of_others(
    relayed: PostgresStore,
) -> None:
    ours, theirs = [await saved(relayed, "a", project=project) for project in "pq"]
    for key in (theirs, ours, ours, theirs):
        await relayed.append_events(key, [Event(key.project), Event(key.project)])
    await publish(relayed)

    for from_position, expected in [(1, [3, 4, 5, 6]), (4, [4, 5, 6]), (7, [])]:
        page = await relayed.feed.read_feed("p", from_position, limit=10)

        assert [entry.position for entry in page.entries] == expected
        assert {(entry.project, entry.recorded.event.type) for entry in page.entries} <= {
            ("p", "p")
        }
        assert (page.next_position, page.reaches_end) == (7, True)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (FeedFilter(types=("x",)), [1, 3]),
        (FeedFilter(types=("x", "y")), [1, 2, 3]),
        (FeedFilter(tags=("hot", "new")), [2]),
        (FeedFilter(labels={"team": "blue"}), [3, 4]),
        (FeedFilter(types=("x",), labels={"team": "blue"}), [3]),
        (FeedFilter(types=("none",)), []),
        (EVERY_ENTRY, [1, 2, 3, 4]),
    ],
)
async def test_a_filter_selects_by_type_tags_and_labels(
    relayed: PostgresStore, where: FeedFilter, expected: list[int]
) -> None:
    red = await saved(relayed, "a", labels={"team": "red"})
    blue = await saved(relayed, "b", labels={"team": "blue", "x": "y"})
    await relayed.append_events(red, [Event("x", tags=("hot",)), Event("y", tags=("new", "hot"))])
    await relayed.append_events(blue, [Event("x"), Event("z", tags=("hot",))])
    await publish(relayed)

    page = await relayed.feed.read_feed("p", 1, limit=10, where=where)

    assert [entry.position for entry in page.entries] == expected
    assert page.next_position == 5


async def test_a_filter_that_matches_nothing_still_gets_on(
    relayed: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstore_storage.feed.paging.SCANNED_EVENTS", 5)
    assert SCANNED_EVENTS > 5
    key = await saved(relayed, "a")
    for _ in range(6):
        await relayed.append_events(key, [Event("x"), Event("x")])
    await publish(relayed)

    reached = []
    position = 1
    while position <= 12:
        page = await relayed.feed.read_feed("p", position, limit=10, where=FeedFilter(("none",)))
        assert page.entries == ()
        position = page.next_position
        reached.append(position)

    assert reached == [7, 13]


async def test_large_payloads_end_a_page_early(relayed: PostgresStore) -> None:
    key = await saved(relayed, "a")
    large = Payload(b"x" * 700_000)
    for _ in range(3):
        await relayed.append_events(key, [Event("x", payload=large)])
    await publish(relayed)

    page = await relayed.feed.read_feed("p", 1, limit=10)

    assert [entry.position for entry in page.entries] == [1, 2]
    assert page.next_position == 3


@pytest.mark.owner
async def test_the_database_refuses_to_change_what_was_published(relayed: PostgresStore) -> None:
    await relayed.append_events(await saved(relayed, "a"), [Event("x")])
    await publish(relayed)

    with pytest.raises(asyncpg.RestrictViolationError):
        await raw(relayed, "UPDATE feed SET run = run + 1")


async def test_a_duty_has_one_holder_until_its_time_is_over(own: PostgresStore) -> None:
    assert await own.feed.hold_duty("sink", ME) == 0
    assert await own.feed.hold_duty("sink", OTHER) is None
    assert await own.feed.advance_duty("sink", OTHER, 3) is None
    assert await own.feed.advance_duty("sink", ME, 3) == 3

    await own.feed.release_duty("sink", ME)

    assert await own.feed.hold_duty("sink", OTHER) == 3
    assert await own.feed.hold_duty("sink", ME) is None
    assert [(d.name, d.position, d.holder) for d in await own.feed.list_duties()] == [
        ("relay", 0, ""),
        ("sink", 3, OTHER),
    ]


@pytest.mark.owner
async def test_each_way_to_hold_a_duty_holds_it_for_a_whole_lease(own: PostgresStore) -> None:
    holds = [
        (RELAY, own.feed.hold_duty),
        (USAGE_COUNTS, lambda _, holder: own.feed.forget_usage(holder)),
        (STORED_BYTES, lambda _, holder: own.feed.forget_stored(holder)),
        (SEARCH, lambda _, holder: own.search.forget_text(holder)),
    ]
    for name, hold in holds:
        for _ in range(2):
            await hold(name, ME)

            assert await own.feed.hold_duty(name, OTHER) is None
            await raw(own, "UPDATE duties SET expires_at = clock_timestamp()")
        assert await own.feed.hold_duty(name, OTHER) == 0


async def test_a_holder_that_does_not_renew_is_replaced_and_refused(own: PostgresStore) -> None:
    key = await saved(own, "a")
    await own.append_events(key, [Event("x")])
    await own.feed.hold_duty(RELAY, ME)
    await raw(own, "UPDATE duties SET expires_at = clock_timestamp()")
    assert await own.feed.hold_duty(RELAY, OTHER) == 0

    refused = await own.feed.publish(ME)
    published = await own.feed.publish(OTHER)

    assert (refused, published) == (None, 1)


async def test_two_relays_at_once_publish_each_event_once(own: PostgresStore) -> None:
    keys = [await saved(own, f"run-{n}") for n in range(8)]

    async def write(key: RunKey) -> None:
        for _ in range(25):
            await own.append_events(key, [Event("x"), Event("y")])

    async def relay(name: str, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if await own.feed.hold_duty(RELAY, name) is not None:
                await own.feed.publish(name)
                await own.feed.release_duty(RELAY, name)
            else:
                await own.feed.publish(name)  # not the holder: refused

    stop = asyncio.Event()
    relays = [asyncio.create_task(relay(name, stop)) for name in (ME, OTHER)]
    await asyncio.gather(*map(write, keys))
    await asyncio.wait_for(own.feed.drain(), 60)
    stop.set()
    await asyncio.gather(*relays)

    page = await own.feed.read_feed("p", 1, limit=1000)
    assert [entry.position for entry in page.entries] == list(range(1, 401))
    for key in keys:
        seqs = [e.recorded.seq for e in page.entries if e.run_id == key.run_id]
        assert seqs == list(range(1, 51))


async def test_drain_returns_when_what_was_committed_is_published(relayed: PostgresStore) -> None:
    await relayed.append_events(await saved(relayed, "a"), [Event("x")])
    draining = asyncio.create_task(relayed.feed.drain())
    done, _ = await asyncio.wait([draining], timeout=0.5)
    assert not done

    await publish(relayed)

    await asyncio.wait_for(draining, 60)
    assert (await relayed.feed.lag(RELAY)).events == 0


async def test_lag_counts_what_waits_and_for_how_long(relayed: PostgresStore) -> None:
    await relayed.append_events(await saved(relayed, "a"), [Event("x")] * 2)
    await relayed.append_events(await saved(relayed, "b"), [Event("x")])

    lag = await relayed.feed.lag(RELAY)
    await publish(relayed)
    after = await relayed.feed.lag(RELAY)

    assert lag.events == 3
    assert 0 < lag.seconds < 30
    assert (after.events, after.seconds) == (0, 0)


async def test_what_was_recorded_at_a_time_to_come_has_not_waited(relayed: PostgresStore) -> None:
    key = await saved(relayed, "a")
    await raw(relayed, "UPDATE run_heads SET updated_at = updated_at + interval '1 day'")

    await relayed.append_events(key, [Event("x")])

    assert await relayed.feed.lag(RELAY) == Lag(1, 0.0)


async def test_a_duty_lags_behind_the_feed(relayed: PostgresStore) -> None:
    key = (await relayed.save_run(NewRun("p", "run"))).run.key
    await relayed.append_events(key, [Event("x")] * 3)
    unpublished = await relayed.feed.lag("duty")
    while await relayed.feed.publish(ME):
        pass
    untaken = await relayed.feed.lag("duty")
    await relayed.feed.hold_duty("duty", ME)
    await relayed.feed.advance_duty("duty", ME, 1)
    behind = await relayed.feed.lag("duty")
    await relayed.feed.advance_duty("duty", ME, 3)

    assert unpublished == Lag(0, 0.0)
    assert (untaken.events, behind.events) == (3, 2)
    assert 0 < untaken.seconds <= behind.seconds < 30
    assert await relayed.feed.lag("duty") == Lag(0, 0.0)


async def test_a_consumer_moves_forward_and_never_back(relayed: PostgresStore) -> None:
    await relayed.append_events(await saved(relayed, "a"), [Event("x")] * 5)
    await publish(relayed)

    first = await relayed.feed.commit_position("p", "c", 3)
    late = await relayed.feed.commit_position("p", "c", 2)
    last = await relayed.feed.commit_position("p", "c", 5)

    assert (first.position, first.last_position) == (3, 5)
    assert late == first
    assert (last.position, last.created_at) == (5, first.created_at)
    assert last.committed_at >= first.committed_at


async def test_a_project_is_told_nothing_of_how_much_others_write(relayed: PostgresStore) -> None:
    await relayed.append_events(await saved(relayed, "a"), [Event("x")] * 5)
    await publish(relayed)
    await relayed.append_events(await saved(relayed, "b", project="q"), [Event("x")] * 70)
    await publish(relayed)

    page = await relayed.feed.read_feed("p", 1, limit=10)
    nothing = await relayed.feed.read_feed("empty", 1, limit=10)
    consumer = await relayed.feed.commit_position("p", "c", 5)
    with pytest.raises(PositionAhead) as ahead:
        await relayed.feed.commit_position("p", "c", 6)

    assert (page.next_position, page.last_position) == (6, 5)
    assert (nothing.next_position, nothing.last_position) == (1, 0)
    assert consumer.last_position == 5
    assert ahead.value.details == {"position": "6", "last_position": "5"}


async def test_a_consumer_that_is_beyond_the_end_may_say_so_again(
    relayed: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await relayed.append_events(await saved(relayed, "a"), [Event("x")] * 5)
    await publish(relayed)
    with monkeypatch.context() as before:  # as by an earlier release
        before.setattr(feed_rows, "last_position_of", feed_rows_of_all)
        await relayed.feed.reset_consumer("p", "c", 40)

    again = await relayed.feed.commit_position("p", "c", 40)
    with pytest.raises(PositionAhead):
        await relayed.feed.commit_position("p", "c", 41)

    assert (again.position, again.last_position) == (40, 5)


async def feed_rows_of_all(_conn: object, _project: str) -> int:
    return 1000


async def test_a_consumer_may_be_reset_anywhere(relayed: PostgresStore) -> None:
    await relayed.append_events(await saved(relayed, "a"), [Event("x")] * 5)
    await publish(relayed)
    await relayed.feed.commit_position("p", "c", 4)

    back = await relayed.feed.reset_consumer("p", "c", 0)
    new = await relayed.feed.reset_consumer("p", "new", 2)

    assert (back.position, new.position) == (0, 2)
    assert await relayed.feed.get_consumer("p", "c") == back


async def test_a_position_beyond_the_end_is_refused(relayed: PostgresStore) -> None:
    for move in (relayed.feed.commit_position, relayed.feed.reset_consumer):
        with pytest.raises(PositionAhead):
            await move("p", "c", 1)
    with pytest.raises(ConsumerNotFound):
        await relayed.feed.get_consumer("p", "c")


async def test_consumers_are_listed_by_name_and_project(relayed: PostgresStore) -> None:
    for project, name in (("p", "b"), ("p", "a"), ("q", "z"), ("p", "c")):
        await relayed.feed.commit_position(project, name, 0)

    page = await relayed.feed.list_consumers("p", limit=2, after=None)
    rest = await relayed.feed.list_consumers("p", limit=2, after=page.next_after)

    assert ([c.name for c in page.items], page.next_after) == (["a", "b"], "b")
    assert ([c.name for c in rest.items], rest.next_after) == (["c"], None)


async def counted(store: PostgresStore) -> list[tuple[object, ...]]:
    return await raw(
        store,
        "SELECT r.run_id, type, node_id, model, tool, events, input_tokens, cost_micros"
        " FROM usage_counts JOIN runs r USING (run) ORDER BY r.run_id, type, node_id",
    )


async def recounted(store: PostgresStore) -> list[tuple[object, ...]]:
    return await raw(
        store,
        "SELECT r.run_id, type, node_id, model, tool, count(*),"
        " coalesce(sum(input_tokens), 0)::bigint, coalesce(sum(cost_micros), 0)::bigint"
        " FROM events JOIN runs r USING (run) GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3",
    )


async def test_usage_counts_equal_a_recount_and_can_be_rebuilt(
    relayed: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstore_storage.sql.usage_counts.COUNTED_RANGES", 3)
    keys = [await saved(relayed, name) for name in "ab"]
    for turn in range(6):
        for key in keys:
            usage = Usage(turn, 1, 0, 7, 0) if turn % 2 else None
            event = Event("x" if turn % 3 else "y", node_id=f"n{turn % 2}", usage=usage)
            await relayed.append_events(key, [event, event])
        await publish(relayed)
    await relayed.feed.hold_duty(USAGE_COUNTS, ME)

    while await relayed.feed.count_usage(ME):
        pass
    first = await counted(relayed)
    await relayed.feed.forget_usage(OTHER)
    assert await counted(relayed) == []
    assert await relayed.feed.count_usage(ME) is None
    while await relayed.feed.count_usage(OTHER):
        pass

    assert first == await counted(relayed) == await recounted(relayed)
    assert len(first) > 4


async def test_the_longest_names_are_counted_too(relayed: PostgresStore) -> None:
    longest = "\U0001f600" * 200
    event = Event(longest, node_id=longest, model=longest, tool=longest)
    await relayed.append_events(await saved(relayed, "a"), [event, event, Event("x")])
    await publish(relayed)
    await relayed.feed.hold_duty(USAGE_COUNTS, ME)

    assert await relayed.feed.count_usage(ME) == 3

    assert await counted(relayed) == await recounted(relayed)


async def test_dead_letters_are_kept_once_and_removed_once(own: PostgresStore) -> None:
    await own.feed.hold_duty(sink_duty("hook"), ME)
    letters = [DeadLetter("hook", 7, 3, "500"), DeadLetter("hook", 9, 1, "gone")]

    refused = await own.feed.bury(OTHER, letters)
    await own.feed.bury(ME, letters)
    await own.feed.bury(ME, letters[:1])

    found = await own.feed.list_dead_letters("hook", limit=10, after=0)
    assert refused is None
    assert [(each.position, each.attempts, each.error) for each in found] == [
        (7, 3, "500"),
        (9, 1, "gone"),
    ]
    assert await own.feed.remove_dead_letter(found[0].id)
    assert not await own.feed.remove_dead_letter(found[0].id)
    assert await own.feed.list_dead_letters("hook", limit=10, after=found[0].id) == found[1:]


async def test_dead_letters_are_paged_and_those_of_other_sinks_are_not_among_them(
    own: PostgresStore,
) -> None:
    for sink, positions in (("other", (1,)), ("hook", (5, 3)), ("other", (2,)), ("hook", (4,))):
        await own.feed.hold_duty(sink_duty(sink), ME)
        await own.feed.bury(ME, [DeadLetter(sink, each, 1, "gone") for each in positions])

    pages, after = [], 0
    for _ in range(3):
        page = await own.feed.list_dead_letters("hook", limit=2, after=after)
        pages.append([each.position for each in page])
        after = page[-1].id if page else after

    assert pages == [[5, 3], [4], []]


async def test_an_entry_is_found_by_its_position(relayed: PostgresStore) -> None:
    await relayed.append_events(await saved(relayed, "a"), [Event("x"), Event("y")])
    await publish(relayed)

    found = await relayed.feed.read_entry(2)

    assert found
    assert (found.position, found.recorded.event.type) == (2, "y")
    assert await relayed.feed.read_entry(3) is None


def test_the_store_has_one_feed(store: PostgresStore) -> None:
    assert isinstance(store.feed, PostgresFeed)
