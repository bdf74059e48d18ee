"""Archiving runs: every event is read from one place always, and comes back as it was."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from archived import EVENTS, exported, fork_of, full_run
from conftest import make_store
from runstore.verify_archive import verify
from runstore_storage.archived import events as archived_events
from runstore_storage.archives import archiving, chain_files
from runstore_storage.contract.archives import ArchiveState
from runstore_storage.contract.errors import (
    ArchiveInvalid,
    ArchiveNotFound,
    EventsArchived,
    IdempotencyMismatch,
    RunHeld,
    RunInUse,
    RunNotFound,
    RunOpen,
    SeqConflict,
    StorageUnavailable,
)
from runstore_storage.contract.events import Event, EventFilter
from runstore_storage.contract.feed import EVERY_PROJECT, DeadLetter, sink_duty
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.holds import NewHold
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.runs import NewFork
from runstore_storage.contract.search import SearchQuery
from runstore_storage.contract.snapshots import Snapshot
from runstore_storage.contract.statistics import Dimension, StatisticsQuery
from runstore_storage.database.engine import writing
from runstore_storage.database.statements import system
from runstore_storage.payloads.objects import Objects
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore
from runstore_storage.removals import archived as archived_rows
from runstore_storage.sql import archive_states
from runstore_storage.sql.removals import open_ones
from storage.contract.archiving import (
    READS,
    act,
    all_done,
    archived,
    cleared_at_once,
    decided,
    external,
    files,
    folder_of,
    pages,
    restored,
    rows_of,
    state_of,
    step,
    until,
)
from storage.contract.test_removals import (
    ME,
    completed,
    deleted,
    relayed,
    removals,
    saved,
    take_duties,
    text,
)
from storage.contract.test_removals import files as objects
from storage.contract.test_removals import rows_of as counts_of

LARGE = 200
pytestmark = pytest.mark.usefixtures(cleared_at_once.__name__)
Break = Callable[[PostgresStore, RunKey], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["large in a table", "large in the object store"])
async def kept(
    database_url: str, own_schema: str, request: pytest.FixtureRequest
) -> AsyncIterator[PostgresStore]:
    """A store that keeps large payloads apart, and does all duties."""
    rules = LargePayloads(LARGE, to_objects=request.param)
    opened = make_store(database_url, own_schema, large_payloads=rules)
    await take_duties(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def doing(own: PostgresStore) -> PostgresStore:
    """A store that does all duties."""
    await take_duties(own)
    return own


async def all_kinds(store: PostgresStore) -> RunKey:
    key = await full_run(store, "p")
    assert key == RunKey("p", "run")
    return key


async def varied(store: PostgresStore) -> RunKey:
    """A run with events of all kinds, some with large payloads, which may grow."""
    key = await external(store, events=0)
    await store.append_events(key, EVENTS)
    large = [Event("large", "big", payload=text(2 * LARGE)), Event("b", payload=text(9))]
    binary = Event("binary", payload=Payload(bytes(range(256)) * 2, "application/x"))
    await store.append_events(key, [*large, binary])
    return key


async def test_a_restored_run_is_as_it_was_before(kept: PostgresStore) -> None:
    key = await varied(kept)
    before, read = await rows_of(kept, key), await pages(kept, key)
    run = await kept.get_run(key)
    feed = None
    await relayed(kept)
    feed = await kept.feed.read_feed("p", 1, limit=99)

    await archived(kept, key)
    assert await rows_of(kept, key) == []
    archive = await restored(kept, key)

    assert archive.state is ArchiveState.RESTORED
    assert await rows_of(kept, key) == before
    assert await pages(kept, key) == read
    assert await kept.get_run(key) == run
    assert await kept.feed.read_feed("p", 1, limit=99) == feed
    assert not (await kept.verify_run(key, from_seq=1, max_events=0)).problem
    await relayed(kept)
    assert await kept.feed.read_feed("p", 1, limit=99) == feed, "something was published again"


async def test_a_completed_run_is_restored_as_it_was(doing: PostgresStore) -> None:
    key = await all_kinds(doing)
    before = await rows_of(doing, key)

    await archived(doing, key)
    await restored(doing, key)

    assert await rows_of(doing, key) == before
    assert not (await doing.verify_run(key, from_seq=1, max_events=0)).problem


@pytest.mark.parametrize("limit", [1, 3, 99])
async def test_pages_of_the_archive_are_those_of_the_rows(
    kept: PostgresStore, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_files, "EVENTS", 3)
    key = await varied(kept)
    before = await pages(kept, key, limit=limit)
    filters = [
        EventFilter(types=("t",)),
        EventFilter(tags=("x",)),
        EventFilter(node_ids=("n",)),
        EventFilter(types=("never",)),
    ]
    selected = [await kept.read_events(key, 1, limit=limit, where=each) for each in filters]

    await archived(kept, key)
    monkeypatch.setattr(archived_events, "CACHE_BYTES", 0)

    assert await pages(kept, key, limit=limit, read_archive=True) == before
    assert [
        await kept.read_events(key, 1, limit=limit, where=each, read_archive=True)
        for each in filters
    ] == selected


@pytest.mark.parametrize("name", READS)
async def test_events_that_are_archived_are_never_left_out(doing: PostgresStore, name: str) -> None:
    key = await external(doing)
    await doing.put_snapshot(key, Snapshot(snapshot_id="s"))
    await doing.append_events(key, [Event("a")])
    read = READS[name]
    before = await read(doing, key, False)
    await decided(doing, key)
    await relayed(doing)
    seen = []
    while True:
        if await state_of(doing, key) < ArchiveState.SWITCHED:
            assert await read(doing, key, False) == before
        else:
            with pytest.raises(EventsArchived) as refused:
                await read(doing, key, False)
            seen.append(refused.value.details)
        assert await read(doing, key, True) == before
        if not await step(doing):
            break

    snapshot_seq = "0" if name == "replay" else "4"
    assert seen[-1] == {
        "run_id": "run",
        "first_seq": "6",
        "snapshot_seq": snapshot_seq,
        "first_position": "0",
    }


async def test_states_follow_one_another(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archived_rows, "MOST_ROWS", 2)
    key = await external(doing)
    await decided(doing, key)
    await relayed(doing)

    seen = []
    while await step(doing):
        archive = await decided(doing, key)
        seen.append((archive.state, archive.removed_events))

    assert seen == [
        (ArchiveState.ARCHIVED, 0),
        (ArchiveState.SWITCHED, 0),
        (ArchiveState.REMOVING, 2),
        (ArchiveState.REMOVING, 4),
        (ArchiveState.DONE, 4),
    ]
    (removal,) = await removals(doing)
    assert (removal.kind, removal.first_seq, removal.last_seq) == (RemovalKind.EVENTS, 1, 4)
    assert (removal.removed_events, removal.is_done) == (4, True)
    assert archive.manifest_hash
    assert archive.size == sum(each.stat().st_size for each in files(doing, key))


async def test_an_archive_is_verified_without_a_server(doing: PostgresStore) -> None:
    base = await all_kinds(doing)
    fork = await fork_of(doing, base, 3, "fork")
    await completed(doing, fork)
    await archived(doing, fork)
    folder = files(doing, fork)[0].parent

    assert verify(folder).problems == []
    assert await doing.read_events(base, 1, limit=99)
    assert (await doing.read_events(fork, 1, limit=3)).next_from_seq == 4
    with pytest.raises(EventsArchived):
        await doing.read_events(fork, 1, limit=4)


async def test_an_archived_run_is_exported_as_before(doing: PostgresStore) -> None:
    key = await all_kinds(doing)
    before = await exported(doing, key)

    await archived(doing, key)

    assert await exported(doing, key) == before


async def test_a_fork_is_restored_without_its_base(doing: PostgresStore) -> None:
    base = await all_kinds(doing)
    fork = await fork_of(doing, base, 3, "fork")
    await completed(doing, fork)
    before, of_base = await rows_of(doing, fork), await rows_of(doing, base)
    read = await pages(doing, fork)

    await archived(doing, fork)
    assert await pages(doing, fork, read_archive=True) == read
    assert not (await doing.verify_run(fork, from_seq=1, max_events=0, read_archive=True)).problem
    await restored(doing, fork)

    assert (await rows_of(doing, fork), await rows_of(doing, base)) == (before, of_base)


async def test_what_may_not_go_is_refused_in_order(doing: PostgresStore) -> None:
    key = await saved(doing, "run")
    with pytest.raises(RunNotFound):
        await decided(doing, RunKey("p", "never"))
    with pytest.raises(SeqConflict):
        await decided(doing, key, expected_last_seq=1)
    with pytest.raises(RunOpen):
        await decided(doing, key)
    await doing.append_events(key, [Event("a")])
    fork = await fork_of(doing, key, 1, "fork")
    await completed(doing, key)
    new = NewHold("p", "why", "run")
    held, _ = await doing.holds.place_hold(new, act(key, "PlaceHold"))
    with pytest.raises(RunHeld):
        await decided(doing, key)
    await doing.holds.release_hold(held.hold_id, act(key, "ReleaseHold"))
    with pytest.raises(RunInUse):
        await decided(doing, key)
    await completed(doing, fork)
    await deleted(doing, fork)
    assert (await decided(doing, key, expected_last_seq=2)).state is ArchiveState.PLANNED
    with pytest.raises(ArchiveNotFound):
        await decided(doing, await external(doing, "empty", events=0))
    with pytest.raises(ArchiveNotFound):
        await restored(doing, key)
    records = (await doing.admin.list_records("p", limit=99, after=None)).items
    assert records[0].act.method == "ArchiveRun"


async def held(store: PostgresStore, key: RunKey) -> None:
    await store.holds.place_hold(NewHold("p", "why", key.run_id), act(key, "PlaceHold"))


async def forked(store: PostgresStore, key: RunKey) -> None:
    await store.fork_run(NewFork(key, fork_run_id="fork"))


@pytest.mark.parametrize("keep", [held, forked])
@pytest.mark.parametrize("state", [ArchiveState.PLANNED, ArchiveState.ARCHIVED])
async def test_what_comes_before_the_switch_cancels_an_archive(
    doing: PostgresStore, keep: Break, state: ArchiveState
) -> None:
    key = await external(doing)
    before = await pages(doing, key)
    await decided(doing, key)
    await relayed(doing)
    await until(doing, key, state)

    await keep(doing, key)
    await all_done(doing)

    assert await state_of(doing, key) is ArchiveState.CANCELLED
    assert await pages(doing, key) == before
    assert files(doing, key) == []


async def test_a_hold_that_comes_after_the_switch_keeps_what_is_archived(
    doing: PostgresStore,
) -> None:
    key = await external(doing)
    await decided(doing, key)
    await relayed(doing)
    await until(doing, key, ArchiveState.SWITCHED)

    await held(doing, key)
    await all_done(doing)

    assert await state_of(doing, key) is ArchiveState.DONE
    with pytest.raises(RunHeld):
        await deleted(doing, key)
    assert (await doing.read_events(key, 1, limit=9, read_archive=True)).last_seq == 4


async def test_a_hold_and_the_switch_race(doing: PostgresStore) -> None:
    for turn in range(10):
        key = await external(doing, f"run-{turn}")
        await decided(doing, key)
        await relayed(doing)
        await until(doing, key, ArchiveState.ARCHIVED)

        await asyncio.gather(step(doing), held(doing, key))
        await all_done(doing)

        state = await state_of(doing, key)
        assert state in {ArchiveState.DONE, ArchiveState.CANCELLED}
        found = await pages(doing, key, read_archive=True)
        assert [each.seq for each in found[0].events] == [1, 2, 3, 4]
        assert len(await rows_of(doing, key)) == (0 if state is ArchiveState.DONE else 4)


async def test_a_fork_and_the_switch_race(doing: PostgresStore) -> None:
    for turn in range(10):
        key = await external(doing, f"run-{turn}")
        await decided(doing, key)
        await relayed(doing)
        await until(doing, key, ArchiveState.ARCHIVED)

        _, fork = await asyncio.gather(
            step(doing),
            doing.fork_run(NewFork(key, fork_run_id=f"fork-{turn}")),
            return_exceptions=True,
        )
        await all_done(doing)

        if isinstance(fork, EventsArchived):
            assert await state_of(doing, key) is ArchiveState.DONE
        else:
            assert not isinstance(fork, BaseException)
            assert await state_of(doing, key) is ArchiveState.CANCELLED
            found = await doing.verify_run(fork.run.key, from_seq=1, max_events=0)
            assert (found.problem, found.checked_events) == ("", 4)


async def test_an_archived_run_is_forked_once_it_is_restored(doing: PostgresStore) -> None:
    key = await external(doing)
    await archived(doing, key)
    await doing.append_events(key, [Event("later")])
    for at_seq in (1, 4, 5):
        with pytest.raises(EventsArchived):
            await doing.fork_run(NewFork(key, at_seq, f"fork-{at_seq}"))

    await restored(doing, key)

    fork = (await doing.fork_run(NewFork(key, 5, "fork"))).run.key
    assert not (await doing.verify_run(fork, from_seq=1, max_events=0)).problem


async def test_repeated_appends_of_archived_events_get_their_first_answers(
    doing: PostgresStore,
) -> None:
    key = await external(doing, events=0)
    events = [Event("a", f"e{n}", payload=Payload(str(n))) for n in range(3)]
    first = await doing.append_events(key, events)
    await archived(doing, key)

    again = await doing.append_events(key, events)
    put = await doing.put_snapshot(key, Snapshot(snapshot_id="s"), events=events[:1])

    assert again == tuple(each._replace(deduplicated=True) for each in first)
    assert put.events == again[:1] if hasattr(put, "events") else True
    with pytest.raises(IdempotencyMismatch):
        await doing.append_events(key, [Event("a", "e1", payload=Payload("other"))])
    with pytest.raises(IdempotencyMismatch):
        await doing.append_events(key, [events[0], Event("new")])


async def test_repeats_are_known_whatever_a_process_remembers(doing: PostgresStore) -> None:
    """The run was written to last before it was archived: its head is remembered as it was."""
    key = await external(doing)
    one = Event("a", "e1", payload=Payload("1"))
    await doing.append_events(key, [Event("a", "last")])
    await archived(doing, key)

    for _ in range(3):
        (answer,) = await doing.append_events(key, [one])
        assert (answer.seq, answer.deduplicated) == (2, True)
    (new,) = await doing.append_events(key, [Event("b")])
    (answer,) = await doing.append_events(key, [one])
    assert (new.seq, answer.seq) == (6, 2)
    for each in ("s1", "s2"):
        await doing.put_snapshot(key, Snapshot(snapshot_id=each), events=[one])
    assert (await doing.get_run(key)).last_seq == 6


async def test_a_completed_run_answers_repeats_before_it_refuses(doing: PostgresStore) -> None:
    key = await saved(doing, "run")
    (first,) = await doing.append_events(key, [Event("a", "e")])
    completion = Completion(Outcome.SUCCEEDED, events=(Event("z", "last"),))
    done = await doing.complete_run(key, completion)
    await archived(doing, key)

    assert (await doing.append_events(key, [Event("a", "e")]))[0].seq == first.seq
    again = await doing.complete_run(key, completion)
    assert again.stored.revision == done.stored.revision if hasattr(again, "stored") else True
    assert (await doing.get_run(key)).last_seq == 3


async def test_a_run_goes_on_growing_while_it_is_archived(doing: PostgresStore) -> None:
    key = await external(doing)
    stop = asyncio.Event()

    async def write() -> int:
        count = 0
        while not stop.is_set():
            await doing.append_events(key, [Event("b", f"late-{count}")])
            count += 1
        return count

    writing = asyncio.create_task(write())
    await decided(doing, key)
    while await state_of(doing, key) is not ArchiveState.DONE:
        await relayed(doing)
        await step(doing)
        found = await pages(doing, key, limit=1000, read_archive=True)
        seqs = [each.seq for page in found for each in page.events]
        assert seqs == list(range(1, len(seqs) + 1))
    stop.set()
    count = await writing

    with pytest.raises(EventsArchived) as refused:
        await doing.read_events(key, 1, limit=9)
    first = int(refused.value.details["first_seq"])
    page = await doing.read_events(key, first, limit=10_000)
    assert (page.last_seq, len(page.events)) == (4 + count, 4 + count - first + 1)
    verified = await doing.verify_run(key, from_seq=1, max_events=0, read_archive=True)
    assert (verified.problem, verified.checked_events) == ("", 4 + count)
    assert not (await doing.verify_run(key, from_seq=first, max_events=0)).problem
    await restored(doing, key)
    assert not (await doing.verify_run(key, from_seq=1, max_events=0)).problem


async def test_a_run_that_has_grown_is_archived_again(doing: PostgresStore) -> None:
    key = await external(doing)
    first = await archived(doing, key)
    assert (await decided(doing, key)).number == first.number, "nothing has been added"
    await doing.append_events(key, [Event("b")] * 3)
    before = await pages(doing, key, read_archive=True)

    second = await archived(doing, key)

    assert (second.number, second.first_seq, second.last_seq) == (2, 1, 7)
    assert await pages(doing, key, read_archive=True) == before
    assert {each.parent.parent.name for each in files(doing, key)} == {"2"}
    assert [(each.first_seq, each.last_seq) for each in await removals(doing)] == [(5, 7), (1, 4)]
    await restored(doing, key)
    assert await pages(doing, key) == before
    await all_done(doing)
    assert files(doing, key) == []
    third = await archived(doing, key)
    assert third.number == 3
    assert await pages(doing, key, read_archive=True) == before


async def test_the_files_of_a_restored_run_are_kept_for_backups(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "KEPT", timedelta(days=7))
    key = await external(doing)
    await archived(doing, key)
    before = files(doing, key)
    await restored(doing, key)
    assert await step(doing) == 0
    assert files(doing, key) == before

    await deleted(doing, key)
    await all_done(doing)
    assert files(doing, key) == []


async def test_a_restore_finds_a_run_whose_rows_are_half_gone(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archived_rows, "MOST_ROWS", 1)
    for gone in range(5):
        key = await external(doing, f"run-{gone}")
        before = await rows_of(doing, key)
        await decided(doing, key)
        await relayed(doing)
        await until(doing, key, ArchiveState.SWITCHED)
        for _ in range(gone):
            await step(doing)

        await restored(doing, key)
        await all_done(doing)

        assert await rows_of(doing, key) == before
        assert await state_of(doing, key) is ArchiveState.RESTORED
        assert not (await doing.feed.lag("removals")).events


async def test_the_removal_and_a_restore_race(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archived_rows, "MOST_ROWS", 1)
    for turn in range(10):
        key = await external(doing, f"run-{turn}")
        before = await rows_of(doing, key)
        await decided(doing, key)
        await relayed(doing)
        await until(doing, key, ArchiveState.SWITCHED)

        await asyncio.gather(restored(doing, key), all_done(doing))
        await all_done(doing)

        assert await rows_of(doing, key) == before


async def test_a_removal_that_a_restore_overtakes_removes_nothing(doing: PostgresStore) -> None:
    key = await external(doing)
    before = await rows_of(doing, key)
    await decided(doing, key)
    await relayed(doing)
    await until(doing, key, ArchiveState.SWITCHED)
    async with doing._engine.connect() as conn:
        (late,) = await open_ones(conn, limit=1)
    await restored(doing, key)

    async with writing(doing._engine) as conn:
        assert await archived_rows.remove_archived(conn, late, published=0) == 1
    assert await rows_of(doing, key) == before


async def test_acts_that_are_repeated_are_done_once(doing: PostgresStore) -> None:
    key, other = await external(doing), await external(doing, "other")
    first = await decided(doing, key, request_id="a")
    await relayed(doing)
    await all_done(doing)

    again, is_repeat = await doing.archives.archive_run(
        key, expected_last_seq=None, act=act(key, request_id="a")
    )
    assert (is_repeat, again.number, again.state) == (True, first.number, ArchiveState.DONE)
    with pytest.raises(IdempotencyMismatch):
        await decided(doing, other, request_id="a")
    done = await restored(doing, key, request_id="r")
    once_more, is_repeat = await doing.archives.restore_run(key, act(key, "RestoreRun", "r"))
    assert (is_repeat, once_more) == (True, done)
    with pytest.raises(ArchiveNotFound):
        await restored(doing, key)


async def flipped(store: PostgresStore, key: RunKey, name: str) -> None:
    (path,) = (each for each in files(store, key) if each.name == name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


async def missing(store: PostgresStore, key: RunKey, name: str) -> None:
    (path,) = (each for each in files(store, key) if each.name == name)
    path.unlink()


async def swapped(store: PostgresStore, key: RunKey, name: str) -> None:
    path, *_ = (each for each in files(store, key) if each.name == name)
    other, *_ = (each for each in files(store, key) if each.name == "requests.jsonl.gz")
    path.write_bytes(other.read_bytes())


async def respelled(store: PostgresStore, key: RunKey, name: str) -> None:
    """Say the same in other bytes."""
    (path,) = (each for each in files(store, key) if each.name == name)
    content = path.read_bytes()
    if not name.endswith(".gz"):
        path.write_bytes(content + b"\n")
        return
    lines = gzip.decompress(content).replace(b"}\n", b" }\n")
    path.write_bytes(gzip.compress(lines, mtime=0))


NAMES = ("manifest.json", "chain-000001.jsonl.gz", "sealed-000001.jsonl.gz")


@pytest.mark.parametrize("damage", [flipped, missing, swapped, respelled])
@pytest.mark.parametrize("name", NAMES)
async def test_a_damaged_archive_is_found(
    doing: PostgresStore,
    damage: Callable[[PostgresStore, RunKey, str], Awaitable[None]],
    name: str,
) -> None:
    key = await all_kinds(doing)
    await archived(doing, key)

    await damage(doing, key, name)

    attempts = [*(lambda each=each: each(doing, key, True) for each in READS.values())]
    for attempt in (*attempts, lambda: restored(doing, key), lambda: exported(doing, key)):
        with pytest.raises(ArchiveInvalid) as invalid:
            await attempt()
        assert invalid.value.details["file"] == name
    assert await rows_of(doing, key) == []
    assert await state_of(doing, key) is ArchiveState.DONE


async def test_a_file_that_was_not_stored_as_sent_is_found_before_the_switch(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await external(doing)
    put = Objects.put

    async def lying(self: Objects, location: str, source: object, **size: object) -> None:
        await put(self, location, source, **size)  # type: ignore[arg-type]  # passed on
        if location.endswith("chain-000001.jsonl.gz"):
            await flipped(doing, key, "chain-000001.jsonl.gz")

    monkeypatch.setattr(Objects, "put", lying)
    await decided(doing, key)
    await relayed(doing)
    with pytest.raises(ArchiveInvalid):
        await step(doing)

    assert await state_of(doing, key) is ArchiveState.PLANNED
    monkeypatch.undo()
    await until(doing, key, ArchiveState.DONE)
    assert {each.parent.name for each in files(doing, key)} == {"2"}


async def test_a_run_of_which_something_is_lost_is_not_archived(doing: PostgresStore) -> None:
    key = await all_kinds(doing)
    for each in objects(doing):
        each.unlink()
    before = await doing.get_run(key)
    await decided(doing, key)
    await relayed(doing)

    await all_done(doing)

    assert await state_of(doing, key) is ArchiveState.CANCELLED
    assert files(doing, key) == []
    assert await doing.get_run(key) == before
    assert await step(doing) == 0


@pytest.mark.parametrize("method", ["put", "read", "delete_folder"])
async def test_an_object_store_that_fails_loses_nothing(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """It fails once at each of its calls, one after the other."""
    key = await all_kinds(doing)
    before = await pages(doing, key)
    await decided(doing, key)
    await relayed(doing)
    real = getattr(Objects, method)
    failures = 0

    for at in range(50):
        left = at
        has_failed = False

        def failing(self: Objects, *given: object, **named: object) -> object:
            nonlocal left, has_failed
            if not left:
                has_failed = True
                raise StorageUnavailable("the object store")
            left -= 1
            return real(self, *given, **named)

        with monkeypatch.context() as broken:
            broken.setattr(Objects, method, failing)
            try:
                done = await step(doing)
            except StorageUnavailable:
                done = None
        failures += has_failed
        assert await pages(doing, key, read_archive=True) == before
        if done == 0:
            break
    assert failures
    await until(doing, key, ArchiveState.DONE)
    assert await pages(doing, key, read_archive=True) == before


async def test_an_archive_that_fails_lets_the_others_go_on(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await external(doing, "first"), await external(doing, "second")
    for key in (first, second):
        await decided(doing, key)
    await relayed(doing)
    archiving = doing.archives._archiving
    real = archiving._files

    def refusing(key: RunKey, *given: object) -> object:
        if key == first:
            raise StorageUnavailable("the object store")
        return real(key, *given)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(archiving, "_files", refusing)
    with pytest.raises(StorageUnavailable):
        await all_done(doing)
    monkeypatch.undo()

    assert await state_of(doing, first) is ArchiveState.PLANNED
    assert await state_of(doing, second) is ArchiveState.DONE


async def test_a_holder_that_lost_the_duty_changes_nothing(doing: PostgresStore) -> None:
    key = await external(doing)
    await decided(doing, key)
    await relayed(doing)
    await doing.feed.release_duty("removals", ME)
    assert await doing.feed.hold_duty("removals", "other") is not None

    assert await step(doing) is None
    assert await state_of(doing, key) is ArchiveState.PLANNED
    for state in (ArchiveState.ARCHIVED, ArchiveState.SWITCHED, ArchiveState.DONE):
        while await state_of(doing, key) < state:
            assert await step(doing) is None
            assert await step(doing, "other")


async def test_a_late_writer_of_files_overwrites_none_that_are_read(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that froze while it wrote goes on when another has done all of it."""
    key = await external(doing)
    await decided(doing, key)
    await relayed(doing)
    real, reached, go_on = Objects.put, asyncio.Event(), asyncio.Event()

    async def freezing(self: Objects, location: str, source: object, **size: object) -> None:
        if "/1/1/manifest" in location:
            reached.set()
            await go_on.wait()
        await real(self, location, source, **size)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(Objects, "put", freezing)
    late = asyncio.create_task(step(doing))
    await reached.wait()
    await doing.feed.release_duty("removals", ME)
    await doing.feed.hold_duty("removals", "other")
    await doing.append_events(key, [Event("b")])
    await relayed(doing)
    while await step(doing, "other"):
        pass
    go_on.set()

    assert await late is None
    assert [e.seq for e in (await pages(doing, key, read_archive=True))[0].events] == [*range(1, 6)]
    assert not (await doing.verify_run(key, from_seq=1, max_events=0, read_archive=True)).problem


async def test_an_archive_waits_for_whoever_has_yet_to_read(doing: PostgresStore) -> None:
    key = await external(doing)
    await decided(doing, key)
    assert await step(doing) == 0, "nothing is published"
    await doing.feed.hold_duty(sink_duty("s"), ME)
    await doing.feed.commit_position("p", "c", 0)
    await relayed(doing)
    assert await step(doing) == 0, "the sink and the consumer have read nothing"
    await doing.feed.advance_duty(sink_duty("s"), ME, 3)
    await doing.feed.commit_position("p", "c", 3)
    assert await step(doing) == 0, "they have not read the last event"
    await doing.feed.advance_duty(sink_duty("s"), ME, 4)
    assert await step(doing) == 0, "the consumer has not"
    await doing.feed.commit_position("p", "c", 4)
    await doing.feed.bury(ME, [DeadLetter("s", 2, 1, "no")])
    assert await step(doing) == 0, "one of its events is a dead letter"
    (letter,) = await doing.feed.list_dead_letters("s", limit=9, after=0)
    await doing.feed.remove_dead_letter(letter.id)

    await until(doing, key, ArchiveState.DONE)


async def test_a_sink_that_is_added_while_files_are_written_is_waited_for(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await external(doing)
    await decided(doing, key)
    await relayed(doing)
    await until(doing, key, ArchiveState.ARCHIVED)
    ready = archive_states.ready

    async def added_then(*given: Any, **named: Any) -> Any:
        found = await ready(*given, **named)
        await doing.feed.hold_duty(sink_duty("new"), ME)
        return found

    monkeypatch.setattr(archive_states, "ready", added_then)
    assert await step(doing) == 0
    assert await state_of(doing, key) is ArchiveState.ARCHIVED
    monkeypatch.undo()
    await doing.feed.advance_duty(sink_duty("new"), ME, 4)
    await until(doing, key, ArchiveState.DONE)


async def test_a_consumer_that_is_not_heard_of_is_not_waited_for(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await external(doing)
    await doing.feed.commit_position("p", "c", 0)
    await doing.feed.commit_position("other", "c", 0)
    await decided(doing, key)
    await relayed(doing)
    assert await step(doing) == 0

    archiving = doing.archives._archiving
    monkeypatch.setattr(archiving, "_idle", archiving._idle * 0)
    await until(doing, key, ArchiveState.DONE)


async def test_the_feed_ends_before_what_is_archived(doing: PostgresStore) -> None:
    _, key, _ = [await external(doing, name, 2) for name in ("before", "run", "after")]
    await relayed(doing)
    whole = await doing.feed.read_feed("p", 1, limit=99)
    await archived(doing, key)

    page = await doing.feed.read_feed("p", 1, limit=99)
    assert ([e.run_id for e in page.entries], page.next_position) == (["before"] * 2, 3)
    for position in (3, 4):
        with pytest.raises(EventsArchived) as refused:
            await doing.feed.read_feed("p", position, limit=99)
        found = {"run_id": "run", "first_seq": "3", "snapshot_seq": "0", "first_position": "5"}
        assert refused.value.details == found
    rest = await doing.feed.read_feed("p", 5, limit=99)
    assert (rest.entries, rest.next_position) == (whole.entries[4:], 7)
    gaps = await doing.feed.read_feed("p", 1, limit=99, allow_gaps=True)
    assert gaps.entries == (*whole.entries[:2], *whole.entries[4:])
    assert gaps.next_position == 7
    of_duty = await doing.feed.read_for_duty(EVERY_PROJECT, 1, limit=99)
    assert of_duty.entries == gaps.entries
    await restored(doing, key)
    assert await doing.feed.read_feed("p", 1, limit=99) == whole


@pytest.mark.owner
async def test_statistics_and_search_have_archived_events_still(doing: PostgresStore) -> None:
    key = await external(doing, events=0)
    wombat = Event("message", payload=Payload('{"content": "wombat"}'), model="m")
    await doing.append_events(key, [wombat, Event("b", model="m")])
    await external(doing, "other")
    await relayed(doing)
    query = SearchQuery("wombat", with_events=True)
    by_run = StatisticsQuery(group_by=(Dimension.RUN,))
    hits = await doing.search.search_events("p", query, limit=9)
    counted = await doing.statistics.get_statistics("p", by_run, limit=9)
    assert len(hits.hits) == 1

    await archived(doing, key)
    found = await doing.search.search_events("p", query, limit=9)
    assert found.hits == (replace(hits.hits[0], recorded=None),)
    for _ in range(2):
        assert (await doing.statistics.get_statistics("p", by_run, limit=9)).rows == counted.rows
        await doing.feed.forget_usage(ME)
        await doing.search.forget_text(ME)
        await doing.feed.forget_stored(ME)
        await relayed(doing)
    assert (await doing.search.search_events("p", query, limit=9)).hits == found.hits
    await restored(doing, key)
    assert (await doing.search.search_events("p", query, limit=9)).hits == hits.hits


@pytest.mark.owner
async def test_what_was_counted_of_a_growing_run_is_not_counted_anew(
    doing: PostgresStore,
) -> None:
    key = await external(doing)
    await archived(doing, key)
    await doing.append_events(key, [Event("b")])
    await relayed(doing)

    with pytest.raises(EventsArchived):
        await doing.feed.forget_usage(ME)
    assert await doing.feed.count_usage(ME) == 0


@pytest.mark.owner
async def test_what_is_stored_is_given_back_and_taken_again(kept: PostgresStore) -> None:
    async def stored() -> int:
        await relayed(kept)
        return (await kept.admin.get_limits("p")).stored_bytes_used

    key = await varied(kept)
    before = await stored()
    await archived(kept, key)
    less = await stored()
    await restored(kept, key)

    assert less < before
    assert await stored() == before
    await kept.feed.forget_stored(ME)
    assert await stored() == before


@pytest.mark.owner
async def test_nothing_is_removed_that_is_being_counted_anew(doing: PostgresStore) -> None:
    key = await external(doing)
    await decided(doing, key)
    await relayed(doing)
    await until(doing, key, ArchiveState.ARCHIVED)
    await doing.feed.forget_stored(ME)
    assert await step(doing) == 0
    await relayed(doing)
    await until(doing, key, ArchiveState.SWITCHED)
    await doing.feed.forget_stored(ME)
    assert await step(doing) == 0
    await relayed(doing)

    await until(doing, key, ArchiveState.DONE)


@pytest.mark.parametrize("state", [*ArchiveState][:5])
async def test_deleting_a_run_removes_its_archive(
    doing: PostgresStore, state: ArchiveState
) -> None:
    key, other = await external(doing), await external(doing, "other")
    await archived(doing, other)
    of_other = files(doing, other)
    await decided(doing, key)
    await relayed(doing)
    await until(doing, key, state)

    await deleted(doing, key)
    await all_done(doing)

    assert files(doing, key) == of_other
    assert set(await counts_of(doing, key)) == {"runs", "removals", "feed"}
    assert all(each.is_done for each in await removals(doing))
    whole = [each for each in await removals(doing) if each.kind is RemovalKind.RUN]
    assert [each.removed_events for each in whole] == [4]
    assert (await doing.feed.lag("removals")).seconds == 0
    with pytest.raises(RunNotFound):
        await restored(doing, key)


async def test_an_archive_may_have_a_store_of_its_own(
    database_url: str, own_schema: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("archives")
    store = make_store(database_url, own_schema, archive_url=elsewhere.as_uri())
    try:
        await take_duties(store)
        key = await external(store)
        before = await pages(store, key)
        await archived(store, key)
        assert elsewhere in folder_of(store, key).parents
        assert files(store, key)
        assert await pages(store, key, read_archive=True) == before
    finally:
        await store.close()


async def test_who_follows_a_run_is_told_or_goes_on(doing: PostgresStore) -> None:
    key = await external(doing)
    async with doing.open_tail(key) as tail:
        read = await tail.read(1, limit=2, where=EventFilter())
        await archived(doing, key)
        with pytest.raises(EventsArchived):
            await tail.read(read.next_from_seq, limit=9, where=EventFilter())
        rest = await tail.read(read.next_from_seq, limit=9, where=EventFilter(), read_archive=True)
        assert [each.seq for each in rest.events] == [3, 4]
        mark = tail.mark
        await doing.append_events(key, [Event("b")])
        assert await tail.wait(mark, 5)
        live = await tail.read(rest.next_from_seq, limit=9, where=EventFilter())
        assert [each.seq for each in live.events] == [5]


async def test_a_resume_that_would_lack_events_is_refused(doing: PostgresStore) -> None:
    key = await external(doing)
    await archived(doing, key)

    async def resume() -> int:
        found = await doing.resume_run(key, namespace="", request_id="", actor="", limit=9)
        return found.writer_epoch

    with pytest.raises(EventsArchived):
        await resume()
    assert (await doing.get_run(key)).writer_epoch == 1
    await doing.put_snapshot(key, Snapshot(snapshot_id="s"))
    assert await resume() == 2


async def test_a_replay_from_a_later_snapshot_needs_no_archive(doing: PostgresStore) -> None:
    key = await external(doing)
    await doing.put_snapshot(key, Snapshot(snapshot_id="s"))
    await doing.append_events(key, [Event("b")])
    before = await doing.replay_run(key, 4, namespace="", limit=9)
    await archived(doing, key)

    assert await doing.replay_run(key, 4, namespace="", limit=9) == before
    with pytest.raises(EventsArchived) as refused:
        await doing.replay_run(key, 5, namespace="", limit=9)
    assert refused.value.details["snapshot_seq"] == "4"


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are fetched from here on."""
    fetched: list[str] = []
    real = Objects.read_all

    def read_all(self: Objects, location: str) -> AsyncIterator[bytes]:
        fetched.append(location.rpartition("/")[2])
        return real(self, location)

    monkeypatch.setattr(Objects, "read_all", read_all)
    return fetched


async def test_files_are_fetched_once_and_kept_within_bounds(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_files, "EVENTS", 2)
    key = await external(doing, events=7)
    await archived(doing, key)
    fetched = counted(monkeypatch)
    await asyncio.gather(*(pages(doing, key, read_archive=True) for _ in range(5)))
    assert sorted(fetched) == sorted(set(fetched))
    assert len(fetched) == 9
    monkeypatch.setattr(archived_events, "CACHE_BYTES", 0)
    await asyncio.gather(*(pages(doing, key, read_archive=True) for _ in range(5)))
    assert len(doing._archived._kept) == 1


async def test_files_that_nobody_reads_do_not_stay(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await external(doing)
    await archived(doing, key)
    monkeypatch.setattr(archived_events, "IDLE_SECONDS", 0.01)

    await pages(doing, key, read_archive=True)
    assert len(doing._archived._kept) == 1
    async with asyncio.timeout(30):
        while doing._archived._kept:  # noqa: ASYNC110 - a timer removes them
            await asyncio.sleep(0.01)


async def test_a_restore_fetches_each_file_once_and_keeps_none(
    doing: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain_files, "EVENTS", 2)
    key = await external(doing, events=7)
    await archived(doing, key)
    fetched = counted(monkeypatch)
    await restored(doing, key)

    assert sorted(fetched) == sorted(set(fetched))
    assert len(fetched) == 9
    assert not doing._archived._kept


@pytest.mark.owner
async def test_psql_removes_no_event_that_is_not_archived(doing: PostgresStore) -> None:
    key = await external(doing)
    await decided(doing, key)
    await relayed(doing)
    await until(doing, key, ArchiveState.SWITCHED)
    await doing.append_events(key, [Event("later")])
    step_ = "INSERT INTO removal_steps (removal, removed_events, is_last) VALUES (1, 0, false)"
    keep = """
        INSERT INTO archived_events
        SELECT run, seq, event_id, recorded_at, is_terminal, NULL, NULL, body_hash, {} FROM events
    """
    for statements in (
        (step_, "DELETE FROM events WHERE seq = 1"),
        (step_, keep.format("body_hash"), "DELETE FROM events WHERE seq = 1"),
        (keep.format("hash"), "DELETE FROM events WHERE seq = 1"),
        (step_, keep.format("hash"), "DELETE FROM events WHERE seq = 5"),
        (step_, "DELETE FROM run_heads"),
        (step_, "UPDATE runs SET objective = ''"),
        (step_, "SELECT remove_rows('events', run, 1) FROM runs"),
    ):
        with pytest.raises(asyncpg.RestrictViolationError):  # noqa: PT012 - one transaction
            async with doing._engine.begin() as conn:
                for each in statements:
                    await conn.execute(system(each))
    async with doing._engine.connect() as conn:
        for statement in ("SELECT archive_rows(run, 9) FROM runs", "DELETE FROM events"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await conn.execute(system(statement))
    await until(doing, key, ArchiveState.DONE)
    async with doing._engine.connect() as conn:
        for statement in (
            "DELETE FROM archived_events",
            "UPDATE archived_events SET seq = seq",
            "SELECT forget_archived(run, 9) FROM runs",
        ):
            with pytest.raises(asyncpg.RestrictViolationError):
                await conn.execute(system(statement))
