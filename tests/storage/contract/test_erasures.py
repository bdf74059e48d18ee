"""Erasing events: what they said is gone, and their places in the chain stay."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace

import asyncpg
import page_files
import pytest
from conftest import make_store
from database import drop_schema, url_as
from migrated import unsealed
from runstore_storage.contract.access import Principal, PrincipalKind
from runstore_storage.contract.admin import Act
from runstore_storage.contract.erasures import Blocker, Erasure, ErasureState, Seqs
from runstore_storage.contract.errors import (
    ErasureNotFound,
    IdempotencyMismatch,
    RunNotFound,
    StorageUnavailable,
)
from runstore_storage.contract.events import Event, RecordedEvent, Usage
from runstore_storage.contract.feed import EVERY_PROJECT, REMOVALS
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.holds import NewHold
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.runs import ExternalRef, NewFork, NewRun
from runstore_storage.contract.search import SearchQuery
from runstore_storage.contract.snapshots import Snapshot
from runstore_storage.database.statements import system
from runstore_storage.erasures import cleaning, erasing
from runstore_storage.postgres import PostgresStore
from storage.contract.test_removals import (
    LARGE,
    ME,
    completed,
    deleted,
    files,
    kept,
    relayed,
    removed,
    rows_of,
    saved,
    take_duties,
    text,
)
from until import until

__all__ = ["kept"]

ANN = Principal(PrincipalKind.TOKEN, "admin", "")
SECRET = "wombatsecret"
TO_ERASE = Event(
    "message",
    "e1",
    payload=Payload(f'{{"text": "{SECRET}"}}'),
    node_id="n",
    actor=f"{SECRET}-actor",
    model="m",
    tool="t",
    tags=(f"{SECRET}-tag",),
    usage=Usage(1, 2, 3, 4, 5),
    trace_parent="00-1",
    subjects=(f"{SECRET}-ann",),
)
KEPT = Event("message", "e2", payload=Payload('"stays"'), actor="bo", subjects=("bo",))


def act(project: str, method: str = "EraseEvents", request_id: str = "", about: str = "") -> Act:
    return Act(project, method, "erasures", ANN, (), "peer", "call", request_id, about)


async def asked(store: PostgresStore, key: RunKey, *seqs: int, request_id: str = "") -> Erasure:
    """Ask for single events to be erased."""
    of = [Seqs(seq, seq) for seq in seqs]
    about = f"{key.run_id} {seqs}"
    return (await store.erasures.erase_events(key, of, act(key.project, "E", request_id, about)))[0]


async def asked_of(store: PostgresStore, subject: str, request_id: str = "") -> Erasure:
    given = act("p", "EraseSubject", request_id)
    return (await store.erasures.erase_subject("p", subject, given))[0]


async def erased(store: PostgresStore) -> int:
    """Do all that can be done of what was asked for; in how many steps."""
    steps = 0
    while await store.erasures.erase(ME):
        steps += 1
    return steps


async def state_of(store: PostgresStore, erasure: Erasure) -> Erasure:
    return await store.erasures.get_erasure("p", erasure.erasure_id)


async def done(store: PostgresStore, erasure: Erasure) -> Erasure:
    """The erasure once it is done: transactions of other tests keep rows from being vacuumed."""

    async def is_done() -> bool:
        await erased(store)
        return (await state_of(store, erasure)).state is ErasureState.DONE

    await until(is_done)
    return await state_of(store, erasure)


async def read(store: PostgresStore, key: RunKey) -> Sequence[RecordedEvent]:
    return tuple((await store.read_events(key, 1, limit=99)).events)


async def is_whole(store: PostgresStore, key: RunKey) -> int:
    """How many events of a run are erased, whose chain holds."""
    found = await store.verify_run(key, from_seq=1, max_events=0)
    assert not found.problem
    assert found.checked_events == found.last_seq
    return found.erased_events


async def ended(store: PostgresStore, run_id: str, *events: Event) -> RunKey:
    """A completed run with these events, all of which are relayed."""
    key = await saved(store, run_id)
    await store.append_events(key, events)
    await completed(store, key)
    await relayed(store)
    return key


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "RETRY_SECONDS", 0.0)


async def test_an_erased_event_keeps_its_open_fields_and_its_place(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE, KEPT)
    before = await read(kept, key)

    pending = await asked(kept, key, 1)
    assert (pending.state, pending.runs, pending.erased_events) == (ErasureState.PENDING, 1, 0)
    await erased(kept)

    first, *rest = await read(kept, key)
    assert rest == list(before[1:])
    assert first.event == replace(TO_ERASE, payload=None, actor="", tags=(), subjects=())
    assert (first.seq, first.hash, first.recorded_at, first.salt) == (
        1, before[0].hash, before[0].recorded_at, None,
    )  # fmt: skip
    assert first.erased
    assert first.erased.sealed
    assert first.erased.at > first.recorded_at
    assert await is_whole(kept, key) == 1
    (removal,) = (await kept.removals.list_removals("p", run_id="run", limit=9, after=None)).items
    assert (removal.kind, removal.first_seq, removal.last_seq, removal.removed_events) == (
        RemovalKind.EVENTS_ERASED, 1, 1, 1,
    )  # fmt: skip


@pytest.mark.owner
async def test_what_was_erased_is_in_no_row_no_index_and_no_object(
    kept: PostgresStore, owner: asyncpg.Connection
) -> None:
    large = secrets.token_hex(4 * LARGE)
    marks = [SECRET, large[:200], large[-200:]]
    events = (
        TO_ERASE,
        KEPT,
        Event("large", "e3", payload=Payload(f'"{large}"')),
        Event("toasted", "e4", payload=Payload(secrets.token_bytes(LARGE - 50))),
    )
    key = await ended(kept, "run", *events)
    of_objects = files(kept)
    found = await page_files.having(owner, SECRET.encode())
    assert {"events_0", "search_rows", "ix_search_rows_tsv", "pk_subject_refs"} <= found
    assert len(of_objects) == 1

    erasure = await asked(kept, key, 1, 3, 4)
    ended_at = await done(kept, erasure)

    assert (ended_at.erased_events, ended_at.done_at is not None) == (3, True)
    for mark in marks:
        assert await page_files.having(owner, mark.encode()) == set()
    assert not files(kept)
    assert await is_whole(kept, key) == 3
    # No row has it; the room that the rows had is written over once it is needed.
    for table in ("events_0", "search_rows", "subject_refs", "blobs"):
        await owner.execute(f"VACUUM FULL {table}")
    for mark in marks:
        assert await page_files.with_free_room(owner, mark.encode()) == set()


@pytest.mark.owner
async def test_what_a_subject_was_is_forgotten_too(
    kept: PostgresStore, owner: asyncpg.Connection
) -> None:
    await ended(kept, "run", TO_ERASE)

    await done(kept, await asked_of(kept, f"{SECRET}-ann"))

    assert await page_files.having(owner, SECRET.encode()) == set()


async def test_an_erasure_is_not_done_while_something_may_still_see_what_was_erased(
    kept: PostgresStore, owner: asyncpg.Connection
) -> None:
    key = await ended(kept, "run", TO_ERASE)
    async with owner.transaction(isolation="repeatable_read"):
        assert await owner.fetchval("SELECT actor FROM events WHERE seq = 1") == TO_ERASE.actor
        erasure = await asked(kept, key, 1)
        await erased(kept)

        assert (await state_of(kept, erasure)).state is ErasureState.REMOVING
        assert await owner.fetchval("SELECT actor FROM events WHERE seq = 1") == TO_ERASE.actor


async def test_only_what_names_the_subject_is_erased_in_every_run_of_the_project(
    kept: PostgresStore,
) -> None:
    both = replace(TO_ERASE, event_id="both", subjects=("bo", f"{SECRET}-ann"))
    one = await ended(kept, "one", TO_ERASE, KEPT, both)
    two = await ended(kept, "two", KEPT, both)
    none = await ended(kept, "none", KEPT)
    elsewhere = (await kept.save_run(NewRun("elsewhere", "one"))).run.key
    await kept.append_events(elsewhere, [TO_ERASE])
    await completed(kept, elsewhere)
    await relayed(kept)

    erasure = await asked_of(kept, f"{SECRET}-ann")
    await erased(kept)

    found = await state_of(kept, erasure)
    assert (found.runs, found.erased_events) == (2, 3)
    counts = [await is_whole(kept, key) for key in (one, two, none, elsewhere)]
    assert counts == [2, 1, 0, 0]


@pytest.mark.owner
async def test_a_subject_that_nobody_named_is_done_at_once(kept: PostgresStore) -> None:
    erasure = await asked_of(kept, "nobody")

    assert (erasure.state, erasure.runs) == (ErasureState.DONE, 0)
    assert erasure.done_at == erasure.begun_at


async def test_an_open_run_blocks_until_it_has_ended(kept: PostgresStore) -> None:
    key = await saved(kept, "run")
    await kept.append_events(key, [TO_ERASE, KEPT])
    await relayed(kept)

    erasure = await asked(kept, key, 1)
    assert await erased(kept) == 0
    blocked = await state_of(kept, erasure)
    await completed(kept, key)
    await relayed(kept)
    await erased(kept)

    assert (blocked.state, blocked.blockers) == (ErasureState.BLOCKED, (Blocker("run"),))
    assert await is_whole(kept, key) == 1


async def test_a_hold_blocks_until_it_is_released(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE)
    placed, _ = await kept.holds.place_hold(NewHold("p", "why", "run"), act("p", "PlaceHold"))

    erasure = await asked(kept, key, 1)
    assert await erased(kept) == 0
    blocked = await state_of(kept, erasure)
    await kept.holds.release_hold(placed.hold_id, act("p", "ReleaseHold"))
    await erased(kept)

    assert blocked.blockers == (Blocker("run", placed.hold_id),)
    assert blocked.state is ErasureState.BLOCKED
    assert await is_whole(kept, key) == 1


async def test_a_hold_of_a_fork_holds_the_events_that_it_shares(kept: PostgresStore) -> None:
    base = await ended(kept, "base", TO_ERASE, KEPT, replace(TO_ERASE, event_id="e3"))
    await kept.fork_run(NewFork(base, 1, "fork"))
    placed, _ = await kept.holds.place_hold(NewHold("p", "why", "fork"), act("p", "PlaceHold"))

    shared, own = await asked(kept, base, 1), await asked(kept, base, 3)
    await erased(kept)

    assert (await state_of(kept, shared)).blockers == (Blocker("fork", placed.hold_id),)
    assert (await state_of(kept, own)).erased_events == 1


async def test_a_hold_that_is_placed_while_events_are_erased_is_placed_before_or_after(
    kept: PostgresStore,
) -> None:
    for turn in range(5):
        key = await ended(kept, f"run-{turn}", TO_ERASE)
        erasure = await asked(kept, key, 1)
        hold = NewHold("p", "why", key.run_id)

        await asyncio.gather(
            kept.erasures.erase(ME), kept.holds.place_hold(hold, act("p", "PlaceHold"))
        )
        count = await is_whole(kept, key)
        await erased(kept)

        assert await is_whole(kept, key) == count
        state = (await state_of(kept, erasure)).state
        assert (state is ErasureState.BLOCKED) == (count == 0)


async def test_a_fork_still_holds_when_what_it_shares_is_erased(kept: PostgresStore) -> None:
    base = await ended(kept, "base", TO_ERASE, KEPT)
    fork = (await kept.fork_run(NewFork(base, 1, "fork"))).run.key
    await kept.append_events(fork, [replace(TO_ERASE, event_id="own")])
    await completed(kept, fork)
    await relayed(kept)

    await asked(kept, fork, 1, 2)
    await erased(kept)

    assert await is_whole(kept, base) == 1
    assert await is_whole(kept, fork) == 2
    assert [each.erased is not None for each in await read(kept, fork)] == [True, True, False]
    again = (await kept.fork_run(NewFork(fork, 2, "again"))).run.key
    assert await is_whole(kept, again) == 2


async def test_the_terminal_event_stays(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE)

    erasure = (await kept.erasures.erase_events(key, [Seqs(1, 99), Seqs(1, 1)], act("p", "E")))[0]
    await erased(kept)

    assert (await state_of(kept, erasure)).erased_events == 1
    assert (await read(kept, key))[-1].event.payload is not None
    assert await is_whole(kept, key) == 1


async def test_an_erased_event_that_is_sent_again_is_known_by_its_open_fields(
    kept: PostgresStore,
) -> None:
    key = await saved(kept, "run")
    (first,) = await kept.append_events(key, [TO_ERASE])
    await completed(kept, key)
    await relayed(kept)
    await asked(kept, key, 1)
    await erased(kept)

    for again in (TO_ERASE, replace(TO_ERASE, payload=None, actor="", tags=(), subjects=())):
        assert await kept.append_events(key, [again]) == (first._replace(deduplicated=True),)
    for other in (replace(TO_ERASE, type="other"), replace(TO_ERASE, node_id="other")):
        with pytest.raises(IdempotencyMismatch):
            await kept.append_events(key, [other])
    assert not (await read(kept, key))[0].event.payload


async def test_a_repeated_act_returns_the_first_erasure(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE)

    first = await asked(kept, key, 1, request_id="r")
    assert await asked(kept, key, 1, request_id="r") == first
    with pytest.raises(IdempotencyMismatch):
        await asked(kept, key, 2, request_id="r")
    of_ann = await asked_of(kept, "ann", "s")
    assert await asked_of(kept, "ann", "s") == of_ann
    # The record does not name the subject: a hash of it tells them apart.
    with pytest.raises(IdempotencyMismatch):
        await asked_of(kept, "bo", "s")


async def test_what_is_unknown_is_not_found(kept: PostgresStore) -> None:
    with pytest.raises(RunNotFound):
        await asked(kept, RunKey("p", "none"), 1)
    with pytest.raises(ErasureNotFound):
        await kept.erasures.get_erasure("p", "none")
    erasure = await asked_of(kept, "nobody")
    with pytest.raises(ErasureNotFound):
        await kept.erasures.get_erasure("elsewhere", erasure.erasure_id)


async def test_what_is_asked_for_and_what_is_done_are_recorded_each(kept: PostgresStore) -> None:
    await ended(kept, "one", TO_ERASE)
    await ended(kept, "two", TO_ERASE)

    erasure = await asked_of(kept, f"{SECRET}-ann", "r")
    await erased(kept)

    records = (await kept.admin.list_records("p", limit=9, after=None)).items[::-1]
    assert [each.act.resource for each in records] == [
        f"erasures/{erasure.erasure_id}", "runs/one", "runs/two",
    ]  # fmt: skip
    assert {each.act.principal for each in records} == {ANN}
    assert not any(SECRET in repr(each) for each in records)
    removals = (await kept.removals.list_removals("p", run_id="", limit=9, after=None)).items
    assert [each.record for each in removals] == [records[2].number, records[1].number]
    assert not (await kept.admin.verify_records("p", from_number=1)).problem


async def test_the_search_the_feed_and_replays_go_on_without_what_was_erased(
    kept: PostgresStore,
) -> None:
    key = await saved(kept, "run")
    await kept.append_events(key, [KEPT, TO_ERASE])
    await kept.put_snapshot(key, Snapshot(snapshot_id="s", state={"x": text(9)}))
    await completed(kept, key)
    await relayed(kept)
    assert (await kept.search.search_events("p", SearchQuery(SECRET), limit=9)).hits

    await asked(kept, key, 2)
    await erased(kept)

    assert not (await kept.search.search_events("p", SearchQuery(SECRET), limit=9)).hits
    assert (await kept.search.search_events("p", SearchQuery("stays"), limit=9)).hits
    entries = (await kept.feed.read_feed("p", 1, limit=9)).entries
    assert [each.recorded.erased is not None for each in entries] == [False, True, False]
    for_sinks = (await kept.feed.read_for_duty(EVERY_PROJECT, 1, limit=9)).entries
    assert [each.recorded for each in for_sinks] == [each.recorded for each in entries]
    replayed = await kept.replay_run(key, 2, namespace="", limit=9)
    assert replayed.snapshot
    assert replayed.snapshot.snapshot.state == {"x": text(9)}


@pytest.mark.owner
async def test_an_erased_event_that_is_indexed_anew_has_no_words(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE)
    await asked(kept, key, 1)
    await erased(kept)

    await kept.search.forget_text(ME)
    await relayed(kept)
    assert not (await kept.search.search_events("p", SearchQuery(SECRET), limit=9)).hits


async def test_a_payload_that_another_row_has_stays_until_the_last_of_them_is_erased(
    kept: PostgresStore,
) -> None:
    key = await saved(kept, "run")
    twice = [Event("a", "1", payload=text(2 * LARGE)), Event("a", "2", payload=text(2 * LARGE))]
    await kept.append_events(key, twice)
    output = Output(text(3 * LARGE))
    await kept.append_events(key, [Event("a", "3", payload=output.payload)])
    await kept.complete_run(key, Completion(Outcome.SUCCEEDED, output=output))
    await relayed(kept)

    counts = []
    for seq in (1, 3, 2):
        await asked(kept, key, seq)
        await erased(kept)
        counts.append(len(files(kept)))

    assert counts == [2, 2, 1]
    assert (await kept.get_output(key, 0)).output == output
    assert await is_whole(kept, key) == 3


async def test_what_is_stored_is_counted_without_what_was_erased(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE, KEPT, Event("a", payload=text(2 * LARGE)), Event("b"))

    await asked(kept, key, 1, 3, 4)
    await erased(kept)
    await relayed(kept)
    counted = await stored(kept)
    await kept.feed.forget_stored(ME)
    await relayed(kept)

    assert counted == await stored(kept)
    assert counted < LARGE


async def stored(store: PostgresStore) -> int:
    async with store._engine.connect() as conn:
        found = await conn.execute(system("SELECT sum(bytes)::bigint FROM stored_bytes"))
        return int(found.scalar_one())


async def test_nothing_is_erased_that_was_not_counted(kept: PostgresStore) -> None:
    key = await saved(kept, "run")
    await kept.append_events(key, [TO_ERASE])
    await completed(kept, key)
    await asked(kept, key, 1)
    steps = [kept.feed.publish, kept.feed.count_usage, kept.feed.sum_stored, kept.search.index_text]
    for step in steps:
        assert await kept.erasures.erase(ME) == 0
        while await step(ME):
            pass

    assert await kept.erasures.erase(ME)


async def test_events_of_both_versions_are_erased_and_the_chain_holds(
    database_url: str,
) -> None:
    name = f"runstore_own_{secrets.token_hex(4)}"
    await unsealed(database_url, name)
    try:
        await of_both_versions(database_url, name)
    finally:
        await drop_schema(database_url, name)


async def of_both_versions(database_url: str, name: str) -> None:
    older = make_store(database_url, name, salted=False)
    key = await saved(older, "run")
    await older.append_events(key, [TO_ERASE, KEPT, Event("bare")])
    await older.close()
    store = make_store(database_url, name, salted=True)
    await take_duties(store)
    await store.append_events(key, [replace(TO_ERASE, event_id="e3")])
    await completed(store, key)
    await relayed(store)

    await asked_of(store, f"{SECRET}-ann")
    await erased(store)

    found = await read(store, key)
    assert [each.erased is not None for each in found] == [True, False, False, True, False]
    assert [each.erased and each.erased.sealed is not None for each in found][::3] == [False, True]
    assert await is_whole(store, key) == 2
    await store.append_events(key, [TO_ERASE])
    with pytest.raises(IdempotencyMismatch):
        await store.append_events(key, [replace(TO_ERASE, actor="other")])
    await store.close()


async def test_an_engine_s_run_is_erased_beside_its_writers(kept: PostgresStore) -> None:
    ref = ExternalRef("airflow", "7", owns_status=True)
    key = (await kept.save_run(NewRun("p", "run", external_ref=ref))).run.key
    await kept.append_events(key, [replace(TO_ERASE, event_id=str(n)) for n in range(20)])
    await relayed(kept)
    erasure = await asked(kept, key, *range(1, 11))

    async def append(number: int) -> None:
        await kept.append_events(key, [Event("later", f"l{number}", payload=text(9))])

    await asyncio.gather(kept.erasures.erase(ME), *(append(number) for number in range(20)))
    await relayed(kept)
    await erased(kept)

    assert (await state_of(kept, erasure)).erased_events == 10
    assert await is_whole(kept, key) == 10
    assert len(await read(kept, key)) == 40


async def test_steps_are_bounded_and_say_how_far_they_are(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "MOST_EVENTS", 2)
    key = await ended(kept, "run", *(replace(TO_ERASE, event_id=str(n)) for n in range(5)))
    erasure = await asked(kept, key, *range(1, 6))

    gone = []
    while await kept.erasures.erase(ME):
        gone.append((await state_of(kept, erasure)).erased_events)

    assert gone[:3] == [2, 4, 5]
    (removal,) = (await kept.removals.list_removals("p", run_id="", limit=9, after=None)).items
    assert (removal.first_seq, removal.last_seq, removal.removed_events) == (1, 5, 5)


async def test_a_lost_duty_erases_nothing(kept: PostgresStore) -> None:
    key = await ended(kept, "run", TO_ERASE)
    await asked(kept, key, 1)
    await kept.feed.release_duty(REMOVALS, ME)
    assert await kept.feed.hold_duty(REMOVALS, "other") is not None

    assert await kept.erasures.erase(ME) is None
    assert await is_whole(kept, key) == 0


@pytest.mark.parametrize(
    "what",
    [
        *("removals.note_step", "erasing.erase", "unnamed_objects.note", "erasing.finish"),
        *("objects.delete", "erasing.forget_unnamed", "cleaning.close"),
    ],
)
@pytest.mark.owner
async def test_a_duty_that_is_broken_off_anywhere_is_taken_up_again(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    key = await ended(kept, "run", TO_ERASE, Event("a", payload=text(2 * LARGE)))
    erasure = await asked(kept, key, 1, 2)
    owners = {
        "removals": erasing.removals,
        "erasing": erasing.erasing,
        "unnamed_objects": erasing.unnamed_objects,
        "objects": kept.artifacts._objects,
        "cleaning": cleaning.erasing,
    }
    owner, _, name = what.partition(".")
    with monkeypatch.context() as patch:
        patch.setattr(owners[owner], name, broken)
        with pytest.raises(StorageUnavailable):
            await done(kept, erasure)
    found = await done(kept, erasure)

    assert found.erased_events == 2
    assert (not files(kept), await is_whole(kept, key)) == (True, 2)


async def broken(*_: object, **__: object) -> None:
    raise StorageUnavailable


async def test_a_run_that_fails_lets_the_others_go_on(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = await ended(kept, "lost", Event("a", payload=text(2 * LARGE)))
    (gone,) = files(kept)
    whole = await ended(kept, "whole", TO_ERASE)
    gone.unlink()
    await asked(kept, lost, 1)
    await asked(kept, whole, 1)

    assert await kept.erasures.erase(ME) == 1
    assert await is_whole(kept, whole) == 1


async def test_a_run_that_was_deleted_meanwhile_is_forgotten(kept: PostgresStore) -> None:
    one = await ended(kept, "one", TO_ERASE)
    two = await ended(kept, "two", TO_ERASE)
    first, second = await asked(kept, one, 1), await asked(kept, two, 1)
    await kept.erasures.erase(ME)
    await deleted(kept, one)
    await deleted(kept, two)

    await removed(kept)
    await erased(kept)

    assert set(await rows_of(kept, one)) == set(await rows_of(kept, two)) | set()
    assert not {"erasures", "erasure_targets", "subject_refs"} & set(await rows_of(kept, one))
    assert (await state_of(kept, second)).runs == 0
    assert (await state_of(kept, first)).erased_events == 1


WAITING: dict[str, Callable[[PostgresStore, RunKey], Coroutine[object, object, object]]] = {
    "a hold": lambda store, key: store.holds.place_hold(
        NewHold("p", "why", key.run_id), act("p", "PlaceHold")
    ),
    "an append": lambda store, key: store.append_events(key, [Event("later")]),
}


@pytest.mark.parametrize("what", WAITING)
async def test_a_step_keeps_out_what_would_change_what_it_decided_on(
    kept: PostgresStore, owner: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    ref = ExternalRef("airflow", "7", owns_status=True)
    key = (await kept.save_run(NewRun("p", "run", external_ref=ref))).run.key
    await kept.append_events(key, [TO_ERASE])
    await relayed(kept)
    await asked(kept, key, 1)
    erase, waiting = erasing.erasing.erase, list[asyncio.Task[object]]()

    async def erase_beside(*given: object) -> object:
        waiting.append(asyncio.create_task(WAITING[what](kept, key)))
        await until(lambda: waits_for_a_lock(owner))
        assert not waiting[0].done()
        return await erase(*given)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(erasing.erasing, "erase", erase_beside)
    await kept.erasures.erase(ME)
    await waiting[0]

    assert await is_whole(kept, key) == 1


async def waits_for_a_lock(conn: asyncpg.Connection) -> bool:
    """Whether a session of this schema's store waits for another one."""
    return bool(
        await conn.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM pg_stat_activity a
                WHERE cardinality(pg_blocking_pids(a.pid)) > 0 AND EXISTS (
                    SELECT FROM pg_locks l WHERE l.pid = ANY(pg_blocking_pids(a.pid))
                        AND l.relation = 'erasure_targets'::regclass))
            """
        )
    )


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE events SET node_id = 'other' WHERE seq = 1",
        "UPDATE erasures SET sealed = sha256('other') WHERE seq = 1",
        "UPDATE events SET actor = 'other' WHERE seq = 2",
        "DELETE FROM erasures",
    ],
)
@pytest.mark.owner
async def test_what_is_tampered_with_is_found_beside_what_was_erased(
    kept: PostgresStore, owner: asyncpg.Connection, tampering: str
) -> None:
    key = await ended(kept, "run", TO_ERASE, KEPT)
    await asked(kept, key, 1)
    await erased(kept)

    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        await owner.execute(tampering)

    assert (await kept.verify_run(key, from_seq=1, max_events=0)).problem


@pytest.mark.owner
async def test_where_servers_own_no_table_the_owner_cleans_up(
    kept: PostgresStore, database_url: str, own_schema: str, role: str
) -> None:
    key = await ended(kept, "run", TO_ERASE)
    served = make_store(url_as(database_url, role), own_schema)
    erasure = await asked(served, key, 1)

    await erased(served)
    assert await served.erasures.clean_up() is None
    removing = await state_of(served, erasure)
    await served.close()

    assert (removing.state, removing.erased_events) == (ErasureState.REMOVING, 1)
    assert await is_whole(kept, key) == 1

    async def is_done() -> bool:
        await kept.erasures.clean_up()
        return (await state_of(kept, erasure)).state is ErasureState.DONE

    await until(is_done)


ERASING = """
    UPDATE events SET payload_json = NULL, payload_binary = NULL, payload_type = NULL,
        payload_blob = NULL, payload_bytes = 0, actor = '', tags = '{}', subjects = NULL,
        salt = NULL
"""
NOTED = "INSERT INTO erasures SELECT run, seq, NULL, 1, now() FROM events WHERE seq IN (2, 3)"
STEP = "INSERT INTO removal_steps (removal, removed_events, is_last) VALUES (1, 1, false)"


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ([NOTED], f"{ERASING} WHERE seq = 2"),
        ([STEP], f"{ERASING} WHERE seq = 2"),
        ([NOTED, STEP], "UPDATE events SET actor = '' WHERE seq = 2"),
        ([NOTED, STEP], f"{ERASING}, node_id = 'other' WHERE seq = 2"),
        ([NOTED, STEP], f"{ERASING} WHERE seq = 3"),
        ([NOTED, STEP], "UPDATE erasures SET sealed = NULL"),
        ([NOTED], "DELETE FROM erasures"),
    ],
)
@pytest.mark.owner
async def test_nobody_erases_unrecorded_or_in_part(
    kept: PostgresStore, owner: asyncpg.Connection, before: list[str], change: str
) -> None:
    """Event 3 is the terminal one."""
    key = await ended(kept, "run", TO_ERASE, KEPT)
    await asked(kept, key, 1)
    await erased(kept)

    async with owner.transaction():
        for statement in before:
            await owner.execute(statement)
        with pytest.raises(asyncpg.RestrictViolationError):
            async with owner.transaction():
                await owner.execute(change)
        if STEP in before and NOTED in before:
            await owner.execute(f"{ERASING} WHERE seq = 2")
