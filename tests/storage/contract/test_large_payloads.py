"""Large payloads are kept as blobs, and no reader sees a difference."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import make_store, objects_folder
from runstore_storage.contract.errors import (
    IdempotencyMismatch,
    RunCompleted,
    SeqConflict,
    StorageUnavailable,
)
from runstore_storage.contract.events import EVERY_EVENT, Event
from runstore_storage.contract.feed import RELAY, SEARCH
from runstore_storage.contract.heads import Guard, Outcome, RunKey
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.search import SearchFilter, SearchOrder, SearchQuery
from runstore_storage.contract.snapshots import Snapshot, SnapshotSelector
from runstore_storage.database.statements import system
from runstore_storage.payloads.objects import Objects
from runstore_storage.payloads.offloading import LargePayloads, Offloading, PayloadLost
from runstore_storage.postgres import PostgresStore

INLINE = 2000
LARGE_TEXT = Payload('{"b": 1.0, "a": "\\u0000\u00e4", "b": [' + "1," * 2000 + "2]}", "x/json")
LARGE_BYTES = Payload(bytes(range(256)) * 20, "x/bytes")
WIDE_TEXT = Payload('"' + "\u20ac" * 700 + '"')  # few characters, many bytes
SMALL = Payload('{"small": true}')
EVENTS = (
    Event("a", payload=LARGE_TEXT),
    Event("b", payload=SMALL),
    Event("c", payload=LARGE_BYTES),
    Event("d"),
    Event("e", payload=WIDE_TEXT),
    Event("f", payload=Payload(b"")),
    Event("g", payload=replace(LARGE_TEXT, content_type="other")),
    Event("h", payload=Payload(LARGE_TEXT.data)),
)
LARGE_EVENTS = 5


@pytest.fixture(params=["postgres", "objects"])
async def offloading(
    request: pytest.FixtureRequest, own_schema: str, database_url: str
) -> AsyncIterator[PostgresStore]:
    """A store with a schema of its own that offloads large payloads."""
    large = LargePayloads(INLINE, to_objects=request.param == "objects")
    store = make_store(database_url, own_schema, large_payloads=large)
    yield store
    await store.close()


@pytest.fixture
async def run(offloading: PostgresStore) -> RunKey:
    return (await offloading.save_run(NewRun("p", "run"))).run.key


async def rows(store: PostgresStore, sql: str) -> list[tuple[Any, ...]]:
    async with store._engine.connect() as conn:
        return [tuple(row) for row in await conn.execute(system(sql))]


def payloads(recorded: Any) -> list[Payload | None]:
    return [each.event.payload for each in recorded]


WANTED = payloads(type("R", (), {"event": event}) for event in EVENTS)


async def test_payloads_come_back_in_every_read(offloading: PostgresStore, run: RunKey) -> None:
    await offloading.append_events(run, EVENTS)
    await offloading.feed.hold_duty(RELAY, "me")
    await offloading.feed.publish("me")

    page = await offloading.read_events(run, 1, limit=100)
    feed = await offloading.feed.read_feed("p", 1, limit=100)
    entry = await offloading.feed.read_entry(1)
    resumed = await offloading.resume_run(run, namespace="", request_id="", actor="", limit=100)
    async with offloading.open_tail(run) as tail:
        tailed = await tail.read(1, limit=100, where=EVERY_EVENT)

    assert payloads(page.events) == payloads(each.recorded for each in feed.entries) == WANTED
    assert payloads(tailed.events)[: len(WANTED)] == WANTED
    assert payloads(resumed.events.events)[:-1] == WANTED
    assert entry is not None
    assert entry.recorded.event.payload == LARGE_TEXT
    found = await offloading.verify_run(run, from_seq=1, max_events=0)
    assert (found.problem, found.checked_events) == ("", len(EVENTS) + 1)


async def test_a_large_payload_is_one_blob_per_run_and_content(
    offloading: PostgresStore, run: RunKey
) -> None:
    await offloading.append_events(run, EVENTS)
    await offloading.append_events(run, EVENTS)

    offloaded = await rows(offloading, "SELECT seq FROM events WHERE payload_blob IS NOT NULL")
    inline = await rows(
        offloading,
        "SELECT max(coalesce(length(payload_json::text), length(payload_binary))) FROM events",
    )
    sizes = await rows(offloading, "SELECT payload_bytes FROM events ORDER BY seq")
    blobs = await rows(offloading, "SELECT location IS NULL FROM blobs")
    assert len(offloaded) == 2 * LARGE_EVENTS
    assert inline[0][0] < INLINE
    assert [size for (size,) in sizes] == [len(p.data) if p else 0 for p in WANTED * 2]
    assert len(blobs) == 3


async def test_offloading_does_not_change_the_hash_chain(
    offloading: PostgresStore, own: PostgresStore, run: RunKey
) -> None:
    """A store that keeps everything inline verifies and reads what this one wrote."""
    named = [replace(event, event_id=f"e{n}") for n, event in enumerate(EVENTS)]
    first = await offloading.append_events(run, named)

    again = await own.append_events(run, named)

    assert [(each.hash, each.deduplicated) for each in again] == [(e.hash, True) for e in first]
    assert (await own.verify_run(run, from_seq=1, max_events=0)).problem == ""
    with pytest.raises(IdempotencyMismatch):
        await offloading.append_events(run, [replace(named[0], payload=LARGE_BYTES)])


async def test_pages_keep_their_byte_limit(offloading: PostgresStore, run: RunKey) -> None:
    large = [Event("x", payload=Payload(bytes([n]) * 700_000)) for n in range(3)]
    for event in large:
        await offloading.append_events(run, [event])

    page = await offloading.read_events(run, 1, limit=10)

    assert payloads(page.events) == [large[0].payload, large[1].payload]
    assert page.next_from_seq == 3


async def test_outputs_and_steps_come_back(offloading: PostgresStore, run: RunKey) -> None:
    await offloading.put_snapshot(run, Snapshot(state={"a": LARGE_TEXT}), events=EVENTS[:1])
    for payload in (LARGE_TEXT, LARGE_BYTES, SMALL, None):
        output = Output(payload, provenance=SMALL)
        await offloading.complete_run(run, Completion(Outcome.SUCCEEDED, output=output))
    done = Completion(Outcome.FAILED, (Event("x", payload=LARGE_BYTES),), Output(LARGE_TEXT))
    finished = (await offloading.save_run(NewRun("p", "finished", completion=done))).run.key

    revisions = [(await offloading.get_output(run, n)).output for n in (1, 2, 3, 4)]
    assert [each.payload for each in revisions] == [LARGE_TEXT, LARGE_BYTES, SMALL, None]
    assert {each.provenance for each in revisions} == {SMALL}
    assert (await offloading.get_output(finished, 0)).output.payload == LARGE_TEXT
    page = await offloading.read_events(finished, 1, limit=1)
    assert payloads(page.events) == [LARGE_BYTES]
    repeated = Completion(Outcome.SUCCEEDED, output=Output(LARGE_TEXT, provenance=SMALL))
    again = await offloading.complete_run(run, repeated)
    assert (again.deduplicated, again.revision) == (True, 1)


async def test_a_payload_shares_nothing_with_a_part_however_its_bytes_are_chosen(
    offloading: PostgresStore, run: RunKey
) -> None:
    data = LARGE_BYTES.data
    parts = [data, b"payload\0" + data, b"payload:" + data]
    state = {f"{place}": Payload(part) for place, part in enumerate(parts)}

    await offloading.put_snapshot(run, Snapshot(snapshot_id="s", state=state))
    await offloading.append_events(run, [Event("x", payload=LARGE_BYTES)])

    page = await offloading.read_events(run, 1, limit=10)
    assert payloads(page.events) == [LARGE_BYTES]
    found = await offloading.get_snapshot(run, "", SnapshotSelector())
    assert found.snapshot.snapshot.state == state


async def test_refusals_are_the_same_and_leave_no_row(
    offloading: PostgresStore, run: RunKey
) -> None:
    with pytest.raises(SeqConflict):
        await offloading.append_events(run, EVENTS, Guard(expected_seq=7))
    await offloading.complete_run(run, Completion(Outcome.SUCCEEDED))
    with pytest.raises(RunCompleted):
        await offloading.append_events(run, EVENTS)

    assert await rows(offloading, "SELECT 1 FROM blobs") == []


async def test_small_appends_do_not_overtake_large_ones(
    offloading: PostgresStore, run: RunKey
) -> None:
    events = [
        Event(f"t{n}", payload=Payload(bytes([n]) * (400_000 if n % 3 == 0 else 10)))
        for n in range(30)
    ]
    appends = [asyncio.create_task(offloading.append_events(run, [event])) for event in events]
    await asyncio.gather(*appends)

    assert [appended.result()[0].seq for appended in appends] == list(range(1, 31))
    assert len(offloading._appender._offload_queue) == 0


async def test_a_cancelled_large_append_holds_up_no_other(
    offloading: PostgresStore, run: RunKey
) -> None:
    large = Event("large", payload=Payload(b"x" * 4_000_000))
    first = asyncio.create_task(offloading.append_events(run, [large]))
    second = asyncio.create_task(offloading.append_events(run, [large]))
    third = asyncio.create_task(offloading.append_events(run, [Event("small")]))
    await asyncio.sleep(0)
    second.cancel()

    assert (await first)[0].seq == 1
    assert (await asyncio.wait_for(third, 60))[0].seq <= 3
    assert len(offloading._appender._offload_queue) == 0


async def test_search_continues_behind_a_lost_payload(
    offloading: PostgresStore, run: RunKey
) -> None:
    await offloading.append_events(run, [EVENTS[0], Event("b", payload=Payload('"needle"'))])
    for duty in (RELAY, SEARCH):
        await offloading.feed.hold_duty(duty, "me")
    await offloading.feed.publish("me")
    await rows_changed(offloading, "DELETE FROM blobs")

    assert await offloading.search.index_text("me") == 2

    query = SearchQuery("needle", SearchFilter(), SearchOrder.NEWEST)
    (hit,) = (await offloading.search.search_events(run.project, query, limit=9)).hits
    assert hit.seq == 2


async def test_a_lost_payload_is_an_error_to_readers_and_a_duty_gets_the_event_without_it(
    offloading: PostgresStore, run: RunKey
) -> None:
    await offloading.append_events(run, EVENTS[:2])
    await offloading.feed.hold_duty(RELAY, "me")
    await offloading.feed.publish("me")
    await rows_changed(offloading, "DELETE FROM blobs")

    with pytest.raises(PayloadLost):
        await offloading.feed.read_feed("p", 1, limit=10)
    page = await offloading.feed.read_for_duty("p", 1, limit=10)

    assert [(each.is_payload_lost, each.recorded.event) for each in page.entries] == [
        (True, replace(EVENTS[0], event_id=page.entries[0].recorded.event.event_id, payload=None)),
        (False, replace(EVENTS[1], event_id=page.entries[1].recorded.event.event_id)),
    ]


@pytest.mark.owner
@pytest.mark.parametrize("is_there", [False, True])
async def test_a_payload_whose_bytes_are_gone_or_damaged_is_lost(
    offloading: PostgresStore, run: RunKey, own_schema: str, is_there: bool
) -> None:
    await offloading.append_events(run, EVENTS[:2])
    await offloading.feed.hold_duty(RELAY, "me")
    await offloading.feed.publish("me")
    objects = list(objects_folder(own_schema).rglob("*.zst"))
    for file in objects:
        file.write_bytes(b"damaged") if is_there else file.unlink()
    if not objects:
        await rows_changed(offloading, "ALTER TABLE blobs DISABLE TRIGGER USER")
        await rows_changed(
            offloading, "UPDATE blobs SET data = 'damaged'" if is_there else "DELETE FROM blobs"
        )

    with pytest.raises(PayloadLost):
        await offloading.read_events(run, 1, limit=10)
    page = await offloading.feed.read_for_duty("p", 1, limit=10)
    entries = [await offloading.feed.read_entry(position) for position in (1, 2)]
    found = await offloading.verify_run(run, from_seq=1, max_events=0)

    assert entries == list(page.entries)
    assert [each.is_payload_lost for each in page.entries] == [True, False]
    assert (found.problem != "", found.problem_seq) == (True, 1)


@pytest.mark.parametrize(
    ("payload", "is_large"),
    [
        (None, False),
        (Payload(b"x" * 11), False),
        (Payload(b"x" * 12), True),
        (Payload("x" * 11), False),
        (Payload("x" * 12), True),
        (Payload("\u20ac" * 3), False),
        (Payload("\U0001f600" * 3), True),
    ],
)
def test_a_payload_is_measured_in_bytes(payload: Payload | None, is_large: bool) -> None:
    rules = LargePayloads(inline_bytes=11)

    assert Offloading(None, None, rules).is_large(payload) is is_large  # type: ignore[arg-type]


async def rows_changed(store: PostgresStore, sql: str) -> None:
    async with store._engine.begin() as conn:
        await conn.execute(system(sql))


async def test_an_unavailable_object_store_stops_only_large_payloads(
    own_schema: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(
        database_url, own_schema, large_payloads=LargePayloads(INLINE, to_objects=True)
    )
    key = (await store.save_run(NewRun("p", "run"))).run.key

    async def fail(*_: object, **__: object) -> None:
        raise StorageUnavailable("the object store")

    with monkeypatch.context() as patched:
        patched.setattr(Objects, "put", fail)
        with pytest.raises(StorageUnavailable):
            await store.append_events(key, EVENTS)
        await store.append_events(key, [Event("small", payload=SMALL)])
    await store.append_events(key, EVENTS)
    await store.close()

    assert _packed_files(objects_folder(own_schema)) == 3


def _packed_files(folder: Path) -> int:
    return len(list(folder.rglob("*.zst")))


async def test_a_page_without_blobs_costs_no_further_statement(
    offloading: PostgresStore, run: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    await offloading.append_events(run, [Event("x", payload=SMALL)] * 3)
    monkeypatch.setattr("runstore_storage.sql.blobs.locate", None)

    page = await offloading.read_events(run, 1, limit=10)

    assert payloads(page.events) == [SMALL] * 3
