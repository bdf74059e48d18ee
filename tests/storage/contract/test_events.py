"""Store.append_events and Store.read_events keep what their docstrings say."""

import asyncio
from datetime import UTC, datetime

import pytest
from runstore_storage.contract.errors import (
    IdempotencyMismatch,
    RunCompleted,
    RunNotFound,
    SeqConflict,
    WriterEpochUnknown,
    WriterFenced,
)
from runstore_storage.contract.events import (
    MAX_DURATION_US,
    MAX_SUM,
    Event,
    EventFilter,
    Usage,
)
from runstore_storage.contract.heads import Guard, Outcome, RunKey
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.pages import PAGE_BYTES
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.snapshots import Snapshot, SnapshotReason
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    return (await store.save_run(NewRun(project, "run"))).run.key


async def test_seqs_are_consecutive_from_one(store: PostgresStore, key: RunKey) -> None:
    first = await store.append_events(key, [Event("a"), Event("b")])
    second = await store.append_events(key, [Event("c")])

    assert [each.seq for each in (*first, *second)] == [1, 2, 3]


async def test_an_event_comes_back_with_every_field(store: PostgresStore, key: RunKey) -> None:
    event = Event(
        type="tool.called",
        event_id="e-1",
        payload=Payload('{"b": 1.0, "a": "\\u0000", "a": 2}', "application/json"),
        node_id="node",
        actor="agent",
        model="model",
        tool="search",
        tags=('quo"te', "back\\slash", "com,ma", "{brace}", "ü", "NULL"),
        usage=Usage(1, 2, 3, 4, 5),
        trace_parent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        occurred_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    )

    await store.append_events(key, [event])

    page = await store.read_events(key, 1, limit=10)
    assert page.events[0].event == event


async def test_a_repeated_append_returns_the_first_answer(
    store: PostgresStore, key: RunKey
) -> None:
    (first,) = await store.append_events(key, [Event("a", event_id="e")])
    await store.append_events(key, [Event("b")])

    (again,) = await store.append_events(key, [Event("a", event_id="e")], Guard(expected_seq=0))

    assert (again.seq, again.hash, again.recorded_at) == (1, first.hash, first.recorded_at)
    assert again.deduplicated


async def test_a_known_id_with_other_content_is_a_mismatch(
    store: PostgresStore, key: RunKey
) -> None:
    await store.append_events(key, [Event("a", event_id="e")])

    with pytest.raises(IdempotencyMismatch):
        await store.append_events(key, [Event("b", event_id="e")])

    assert (await store.get_run(key)).last_seq == 1


async def test_a_batch_known_in_part_is_a_mismatch(store: PostgresStore, key: RunKey) -> None:
    await store.append_events(key, [Event("a", event_id="1")])

    with pytest.raises(IdempotencyMismatch):
        await store.append_events(key, [Event("a", event_id="1"), Event("a", event_id="2")])

    assert (await store.get_run(key)).last_seq == 1


async def test_a_lost_race_is_a_conflict_with_the_current_seq(
    store: PostgresStore, key: RunKey
) -> None:
    await store.append_events(key, [Event("a")])

    with pytest.raises(SeqConflict) as caught:
        await store.append_events(key, [Event("b")], Guard(expected_seq=0))

    assert caught.value.details["current_seq"] == "1"


async def test_a_fenced_writer_is_refused_and_an_unknown_epoch_too(
    store: PostgresStore, key: RunKey
) -> None:
    await store.resume_run(key, namespace="", request_id="", actor="", limit=1)

    with pytest.raises(WriterFenced):
        await store.append_events(key, [Event("a")], Guard(writer_epoch=1))
    with pytest.raises(WriterEpochUnknown):
        await store.append_events(key, [Event("a")], Guard(writer_epoch=3))
    await store.append_events(key, [Event("a")], Guard(writer_epoch=2))


async def test_a_completed_run_takes_no_event_but_answers_a_repetition(
    store: PostgresStore, key: RunKey
) -> None:
    await store.append_events(key, [Event("a", event_id="e")])
    await store.complete_run(key, Completion(Outcome.FAILED))

    with pytest.raises(RunCompleted):
        await store.append_events(key, [Event("b")])
    (again,) = await store.append_events(key, [Event("a", event_id="e")])

    assert again.deduplicated


async def test_an_unknown_run_is_not_found(store: PostgresStore, project: str) -> None:
    with pytest.raises(RunNotFound):
        await store.append_events(RunKey(project, "nowhere"), [Event("a")])
    with pytest.raises(RunNotFound):
        await store.read_events(RunKey(project, "nowhere"), 1, limit=1)


async def test_one_refusal_does_not_fail_its_neighbours_in_the_batch(
    store: PostgresStore, key: RunKey, project: str
) -> None:
    answers = await asyncio.gather(
        store.append_events(key, [Event("good")]),
        store.append_events(key, [Event("late")], Guard(expected_seq=99)),
        store.append_events(RunKey(project, "nowhere"), [Event("lost")]),
        store.append_events(key, [Event("good")]),
        return_exceptions=True,
    )

    kinds = [type(each).__name__ for each in answers]
    assert kinds == ["tuple", "SeqConflict", "RunNotFound", "tuple"]
    assert (await store.get_run(key)).last_seq == 2


async def test_only_the_append_that_postgres_cannot_take_fails(
    store: PostgresStore, key: RunKey
) -> None:
    answers = await asyncio.gather(
        store.append_events(key, [Event("good")]),
        store.append_events(key, [Event("bad", payload=Payload("{not json"))]),
        store.append_events(key, [Event("good")]),
        return_exceptions=True,
    )

    assert [isinstance(each, Exception) for each in answers] == [False, True, False]
    assert [e.event.type for e in (await store.read_events(key, 1, limit=9)).events] == [
        "good",
        "good",
    ]


async def test_two_appends_of_one_id_in_one_batch_become_one_event(
    store: PostgresStore, key: RunKey
) -> None:
    answers = await asyncio.gather(
        *(store.append_events(key, [Event("a", event_id="e")]) for _ in range(8))
    )

    assert {each[0].seq for each in answers} == {1}
    assert sum(not each[0].deduplicated for each in answers) == 1


async def test_a_cancelled_caller_takes_nothing_back(store: PostgresStore, key: RunKey) -> None:
    caller = asyncio.create_task(store.append_events(key, [Event("a")]))
    await asyncio.sleep(0)
    caller.cancel()

    await store.append_events(key, [Event("b")])

    assert [e.event.type for e in (await store.read_events(key, 1, limit=9)).events] == ["a", "b"]


async def test_pages_tile_the_run_whatever_their_size(store: PostgresStore, key: RunKey) -> None:
    await store.append_events(key, [Event("a") for _ in range(10)])

    for limit in (1, 3, 10, 11):
        seqs, from_seq = [], 0
        while True:
            page = await store.read_events(key, from_seq, limit=limit)
            seqs += [event.seq for event in page.events]
            if page.reaches_end:
                break
            from_seq = page.next_from_seq
        assert seqs == list(range(1, 11))


async def test_a_page_ends_where_its_payloads_reach_the_bound(
    store: PostgresStore, key: RunKey
) -> None:
    half = Payload("[" + " " * (PAGE_BYTES // 2) + "]")
    await store.append_events(key, [Event("big", payload=half) for _ in range(5)])

    page = await store.read_events(key, 1, limit=100)

    assert len(page.events) == 2
    assert page.next_from_seq == 3


async def test_a_filter_joins_types_nodes_and_tags(store: PostgresStore, key: RunKey) -> None:
    await store.append_events(
        key,
        [
            Event("a", node_id="x", tags=("t", "u")),
            Event("b", node_id="x", tags=("t",)),
            Event("c", node_id="y", tags=("t", "u")),
        ],
    )

    async def seqs(where: EventFilter) -> list[int]:
        page = await store.read_events(key, 1, limit=9, where=where)
        assert page.reaches_end
        assert [e.seq for e in page.events] == [
            e.seq
            for e in (await store.read_events(key, 1, limit=9)).events
            if where.matches(e.event)
        ]
        return [event.seq for event in page.events]

    assert await seqs(EventFilter(types=("a", "b"))) == [1, 2]
    assert await seqs(EventFilter(types=("a", "c"), node_ids=("y",))) == [3]
    assert await seqs(EventFilter(tags=("t", "u"))) == [1, 3]
    assert await seqs(EventFilter(types=("z",))) == []


async def test_usage_adds_up_in_the_run(store: PostgresStore, key: RunKey) -> None:
    usage = Usage(10, 20, 5, 300, 1000)

    await store.append_events(key, [Event("a", usage=usage), Event("b"), Event("c", usage=usage)])

    assert (await store.get_run(key)).usage == Usage(20, 40, 10, 600, 2000)


async def test_a_sum_that_would_overflow_is_the_maximum(store: PostgresStore, key: RunKey) -> None:
    largest = Usage(MAX_SUM, MAX_SUM, MAX_SUM, MAX_SUM, MAX_DURATION_US)
    for usage in (largest, Usage(1, 1, 1, 1, 1), largest):
        await store.append_events(key, [Event("a", usage=usage), Event("b", usage=usage)])
    await store.complete_run(key, Completion(Outcome.SUCCEEDED))

    page = await store.read_events(key, 3, limit=1)
    assert page.events[0].event.usage == Usage(1, 1, 1, 1, 1)
    assert (await store.get_run(key)).usage == largest
    assert (await store.get_output(key, 0)).usage == largest


async def test_every_event_is_noted_once_for_publication(own: PostgresStore) -> None:
    key = (await own.save_run(NewRun("p", "run"))).run.key
    await own.append_events(key, [Event("a"), Event("b", event_id="b")])
    await own.append_events(key, [Event("b", event_id="b")])
    await own.put_snapshot(key, Snapshot(reason=SnapshotReason.PAUSE), events=[Event("c")])
    await own.resume_run(key, namespace="", request_id="", actor="", limit=1)
    await own.complete_run(key, Completion(Outcome.SUCCEEDED, events=(Event("d"),)))

    async with own._engine.connect() as conn:
        found = await conn.execute(
            system(
                "SELECT first_seq, last_seq FROM outbox JOIN runs USING (run)"
                " WHERE project = :p1 ORDER BY id"
            ),
            {"p1": key.project},
        )
        assert [tuple(row) for row in found] == [(1, 2), (3, 4), (5, 5), (6, 7)]


@pytest.mark.parametrize(
    "at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)], ids=str
)
async def test_the_first_and_the_last_instant_come_back(
    store: PostgresStore, key: RunKey, at: datetime
) -> None:
    await store.append_events(key, [Event("a", occurred_at=at)])

    page = await store.read_events(key, 1, limit=1)
    assert page.events[0].event.occurred_at == at
    assert not (await store.verify_run(key, from_seq=1, max_events=0)).problem
