"""Deleting runs: gone for readers at once, then from every table and the object store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest
from conftest import make_store
from runstore_storage import chain
from runstore_storage.contract.access import Principal, PrincipalKind
from runstore_storage.contract.admin import Act
from runstore_storage.contract.artifacts import (
    Announced,
    ArtifactFilter,
    ArtifactRef,
    NewArtifact,
)
from runstore_storage.contract.errors import (
    ArtifactNotFound,
    IdempotencyMismatch,
    RunHeld,
    RunIdReserved,
    RunInUse,
    RunNotFound,
    RunOpen,
    SeqConflict,
    StorageUnavailable,
)
from runstore_storage.contract.events import EVERY_EVENT, Event
from runstore_storage.contract.feed import (
    RELAY,
    REMOVALS,
    SEARCH,
    STORED_BYTES,
    USAGE_COUNTS,
    Lag,
)
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.holds import NewHold
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.removals import Removal
from runstore_storage.contract.runs import (
    ExternalRef,
    NewFork,
    NewRun,
    RunFilter,
    RunOrder,
)
from runstore_storage.contract.search import SearchQuery
from runstore_storage.contract.snapshots import (
    Snapshot,
    SnapshotQuery,
    SnapshotSelector,
    TaskWrite,
)
from runstore_storage.contract.statistics import Dimension, StatisticsQuery
from runstore_storage.database.statements import system
from runstore_storage.payloads import offloading
from runstore_storage.payloads.objects import project_folder
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore
from runstore_storage.removals import removing

ME = "me"
LARGE = 200
DUTIES = (RELAY, USAGE_COUNTS, STORED_BYTES, SEARCH, REMOVALS)
ANN = Principal(PrincipalKind.TOKEN, "ann", "")
# What stays of a run: its tombstone, what was decided about it, and its places in the feed.
STAYS = {"runs", "removals", "holds", "feed"}
TABLES_OF_RUNS = system("""
    SELECT table_name FROM information_schema.columns
    WHERE table_schema = current_schema() AND column_name = 'run'
        AND table_name !~ '^events_[0-9]+$'
""")


def act(key: RunKey, request_id: str = "") -> Act:
    return Act(
        key.project, "DeleteRun", f"runs/{key.run_id}", ANN, (), "peer", "call", request_id,
        f'{{"run_id": "{key.run_id}"}}',
    )  # fmt: skip


async def deleted(
    store: PostgresStore, key: RunKey, expected_last_seq: int | None = None, request_id: str = ""
) -> tuple[Removal, bool]:
    return await store.removals.delete_run(
        key, expected_last_seq=expected_last_seq, act=act(key, request_id)
    )


async def saved(store: PostgresStore, run_id: str, project: str = "p") -> RunKey:
    return (await store.save_run(NewRun(project, run_id))).run.key


async def completed(store: PostgresStore, key: RunKey) -> None:
    await store.complete_run(key, Completion(Outcome.SUCCEEDED))


def text(size: int) -> Payload:
    return Payload('"' + "x" * (size - 2) + '"')


async def content(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def upload(store: PostgresStore, key: RunKey, name: str, data: bytes) -> str:
    announced = Announced(sha256(data).digest(), len(data))
    recorded = await store.artifacts.upload_artifact(
        NewArtifact(key, name), announced, content(data)
    )
    return recorded.artifact.artifact_id


async def full(store: PostgresStore, run_id: str) -> RunKey:
    """A completed run with something in every table."""
    new = NewRun(
        "p",
        run_id,
        objective="a wombat",
        plan=text(50),
        external_ref=ExternalRef("airflow", "7", "http://x/7"),
        tags=("t",),
        labels={"l": "1"},
        subjects=("ann",),
    )
    key = (await store.save_run(new)).run.key
    await store.append_events(
        key,
        [
            Event("a", "e1", payload=Payload('"wombat"'), model="m"),
            Event("a", "e2", payload=text(2 * LARGE)),
        ],
    )
    await store.put_snapshot(
        key, Snapshot(snapshot_id="s", state={"x": text(3 * LARGE)}), request_id="put"
    )
    await store.put_task_writes(key, "", [TaskWrite("t", 0, "s", payload=text(7))])
    await upload(store, key, "mine", run_id.encode())
    await upload(store, key, "shared", b"both have it")
    await store.complete_run(
        key, Completion(Outcome.SUCCEEDED, output=Output(text(2 * LARGE), provenance=text(9)))
    )
    return key


async def take_duties(store: PostgresStore) -> None:
    for duty in DUTIES:
        assert await store.feed.hold_duty(duty, ME) is not None


async def relayed(store: PostgresStore) -> None:
    """Do all of the feed's work."""
    steps: list[Callable[[str], Awaitable[int | None]]] = [
        store.feed.publish,
        store.feed.count_usage,
        store.feed.sum_stored,
        store.search.index_text,
    ]
    for step in steps:
        while await step(ME):
            pass


async def removed(store: PostgresStore) -> int:
    """Remove all there is; in how many steps."""
    steps = 0
    while await store.removals.remove(ME):
        steps += 1
    return steps


async def rows_of(store: PostgresStore, key: RunKey) -> dict[str, int]:
    """How many rows of a run each table has, where it has any."""
    async with store._engine.connect() as conn:
        tables = (await conn.execute(TABLES_OF_RUNS)).scalars()
        assert set(tables) > STAYS
        found = {}
        for table in tables:
            count = f"""
                SELECT count(*) FROM {table} JOIN runs r USING (run)
                WHERE r.project = :project AND r.run_id = :run_id
            """
            if table == "runs":
                count = count.replace("JOIN runs r USING (run)", "r")
            rows = await conn.execute(system(count), {"project": key.project, "run_id": key.run_id})
            found[table] = rows.scalar_one()
    return {table: count for table, count in found.items() if count}


async def removals(store: PostgresStore, run_id: str = "") -> tuple[Removal, ...]:
    page = await store.removals.list_removals("p", run_id=run_id, limit=100, after=None)
    return page.items


@pytest.fixture
async def kept(database_url: str, own_schema: str) -> AsyncIterator[PostgresStore]:
    """A store that keeps large payloads in the object store, and does all duties."""
    rules = LargePayloads(LARGE, to_objects=True)
    opened = make_store(database_url, own_schema, large_payloads=rules)
    await take_duties(opened)
    yield opened
    await opened.close()


def files(store: PostgresStore) -> set[Path]:
    folder = store.artifacts._objects._folder
    return {each for each in folder.rglob("*") if each.is_file()} if folder else set()


async def seen(store: PostgresStore, key: RunKey) -> set[str]:
    """Where else a run is read from than by its key."""
    project = key.project
    runs = await store.list_runs(project, RunFilter(), RunOrder.CREATED_DESC, limit=9, after=None)
    hits = await store.search.search_events(project, SearchQuery("wombat"), limit=9)
    feed = await store.feed.read_feed(project, 1, limit=99)
    listed = await store.artifacts.list_artifacts(project, ArtifactFilter(), limit=9, after=None)
    snapshots = await store.list_snapshots(SnapshotQuery(project), limit=9, after=None)
    by_run = StatisticsQuery(group_by=(Dimension.RUN,))
    counted = await store.statistics.get_statistics(project, by_run, limit=9)
    found = {
        "snapshots": {RunKey(project, each.run_id) for each in snapshots.items},
        "counted": {RunKey(project, row.keys[0]) for row in counted.rows},
        "listed": {run.key for run in runs.items},
        "searched": {RunKey(project, hit.run_id) for hit in hits.hits},
        "in the feed": {RunKey(project, entry.run_id) for entry in feed.entries},
        "artifacts": {artifact.new.key for artifact in listed.items},
    }
    return {where for where, keys in found.items() if key in keys}


async def test_a_deleted_run_is_not_found_and_its_id_is_reserved(kept: PostgresStore) -> None:
    key = await full(kept, "run")
    artifacts = await kept.artifacts.list_artifacts("p", ArtifactFilter(), limit=9, after=None)
    await relayed(kept)
    assert await seen(kept, key) == {
        *("listed", "searched", "in the feed", "artifacts", "snapshots", "counted")
    }

    removal, is_repeat = await deleted(kept, key, expected_last_seq=3)

    assert not is_repeat
    assert (removal.first_seq, removal.last_seq, removal.removed_events) == (1, 3, 0)
    assert removal.done_at is None
    reads: list[Awaitable[object]] = [
        kept.get_run(key),
        kept.read_events(key, 1, limit=1),
        kept.get_output(key, 0),
        kept.get_snapshot(key, "", SnapshotSelector()),
        kept.replay_run(key, None, namespace="", limit=1),
        kept.verify_run(key, from_seq=1, max_events=0),
        kept.append_events(key, [Event("a")]),
        kept.append_events(key, [Event("a", "e1", payload=Payload('"wombat"'), model="m")]),
        kept.put_snapshot(key, Snapshot()),
        kept.resume_run(key, namespace="", request_id="", actor="", limit=1),
        kept.complete_run(key, Completion(Outcome.SUCCEEDED)),
        kept.artifacts.link_artifact(NewArtifact(key, "l"), "http://x", Announced(b"", None)),
        kept.fork_run(NewFork(key, fork_run_id="fork")),
        kept.holds.place_hold(NewHold("p", "why", "run"), replace(act(key), method="PlaceHold")),
        kept.save_run(NewRun("p", "child", parent_run_id="run")),
        deleted(kept, key),
    ]
    for read in reads:
        with pytest.raises(RunNotFound):
            await read
    for each in artifacts.items:
        with pytest.raises(ArtifactNotFound):
            await kept.artifacts.get_artifact(ArtifactRef("p", artifact_id=each.artifact_id))
    assert await seen(kept, key) == set()
    for again in (NewRun("p", "run"), NewRun("p", "run", objective="a wombat")):
        with pytest.raises(RunIdReserved):
            await kept.save_run(again)
    other = await saved(kept, "other")
    await kept.append_events(other, [Event("a")])
    with pytest.raises(RunIdReserved):
        await kept.fork_run(NewFork(other, fork_run_id="run"))


async def test_nothing_of_a_removed_run_is_left_and_nothing_of_others_is_missing(
    kept: PostgresStore,
) -> None:
    before = files(kept)
    key, other = await full(kept, "run"), await full(kept, "other")
    await relayed(kept)
    of_other, all_files = await rows_of(kept, other), files(kept)
    assert set(of_other) >= {"blobs", "artifacts", "requests", "task_writes", "usage_counts"}
    last_position = (await kept.feed.read_feed("p", 1, limit=1)).last_position

    await deleted(kept, key)
    assert await removed(kept) > 5
    await relayed(kept)

    assert set(await rows_of(kept, key)) == STAYS - {"holds"}
    assert await rows_of(kept, other) == of_other
    # The payload of an event and of its output, which are equal, and the artifact of its own.
    assert len(all_files - files(kept)) == 2
    assert not (await kept.verify_run(other, from_seq=1, max_events=0)).problem
    feed = await kept.feed.read_feed("p", 1, limit=99)
    assert (feed.last_position, {entry.run_id for entry in feed.entries}) == (
        last_position,
        {"other"},
    )
    (removal,) = await removals(kept)
    assert (removal.removed_events, removal.done_at is not None) == (3, True)

    await deleted(kept, other)
    await removed(kept)
    await relayed(kept)

    assert files(kept) == before
    async with kept._engine.connect() as conn:
        summed = await conn.execute(system("SELECT bytes FROM stored_bytes WHERE bytes <> 0"))
        assert summed.scalars() == []
        cleared = (await conn.execute(system("SELECT to_jsonb(r)::text FROM runs r"))).scalars()
    assert not any("wombat" in each or "ann" in each or "airflow" in each for each in cleared)


async def test_payloads_that_runs_share_go_with_the_last_of_them(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they were stored before each run had a folder of its own."""
    monkeypatch.setattr(offloading, "run_folder", lambda key: project_folder(key.project))
    first, last = await full(kept, "run"), await full(kept, "other")
    await relayed(kept)
    (shared,) = (each for each in files(kept) if each.parent.name == "payloads")

    await deleted(kept, first)
    await removed(kept)

    assert shared in files(kept)
    assert (await kept.read_events(last, 2, limit=1)).events[0].event.payload == text(2 * LARGE)

    await deleted(kept, last)
    await removed(kept)

    assert not files(kept)


async def test_what_is_written_to_a_deleted_run_leaves_nothing_behind(kept: PostgresStore) -> None:
    key = await full(kept, "run")
    await relayed(kept)
    await deleted(kept, key)
    await removed(kept)

    with pytest.raises(RunNotFound):
        await kept.append_events(key, [Event("a", payload=text(3 * LARGE))])
    with pytest.raises(RunNotFound):
        await kept.put_snapshot(key, Snapshot(), events=[Event("a", payload=text(3 * LARGE))])
    completion = Completion(Outcome.SUCCEEDED, output=Output(text(3 * LARGE)))
    with pytest.raises(RunIdReserved):
        await kept.save_run(NewRun("p", "run", completion=completion))
    with pytest.raises(RunNotFound):
        await upload(kept, key, "late", b"late")

    assert not files(kept)


async def test_what_may_not_go_is_refused_in_order(own: PostgresStore) -> None:
    key = await saved(own, "run")
    await own.append_events(key, [Event("a")])
    with pytest.raises(SeqConflict) as conflict:
        await deleted(own, key, expected_last_seq=0)
    assert conflict.value.details == {"run_id": "run", "expected_seq": "0", "current_seq": "1"}
    with pytest.raises(RunOpen):
        await deleted(own, key, expected_last_seq=1)

    fork = (await own.fork_run(NewFork(key, fork_run_id="fork"))).run.key
    await completed(own, key)
    held = (await own.holds.place_hold(NewHold("p", "why", "run"), replace(act(key), method="H")))[
        0
    ]
    with pytest.raises(RunHeld):
        await deleted(own, key)
    await own.holds.release_hold(held.hold_id, replace(act(key), method="R"))
    with pytest.raises(RunInUse) as in_use:
        await deleted(own, key)
    assert in_use.value.details == {"run_id": "run", "fork_run_id": "fork"}
    await completed(own, fork)
    await deleted(own, fork)
    await deleted(own, key)


async def test_a_run_whose_status_an_engine_owns_may_go_at_any_time(own: PostgresStore) -> None:
    ref = ExternalRef("airflow", "7", owns_status=True)
    key = (await own.save_run(NewRun("p", "run", external_ref=ref))).run.key

    removal, _ = await deleted(own, key)

    assert (removal.first_seq, removal.last_seq) == (0, 0)


async def test_a_fork_goes_without_its_base(kept: PostgresStore) -> None:
    base = await full(kept, "base")
    fork = (await kept.fork_run(NewFork(base, 2, fork_run_id="fork"))).run.key
    await kept.append_events(fork, [Event("b", payload=text(3 * LARGE))])
    await completed(kept, fork)
    birth = chain.birth_hash((await kept.get_run(fork)).born)
    await relayed(kept)

    removal, _ = await deleted(kept, fork)
    await removed(kept)

    assert (removal.first_seq, removal.last_seq, removal.birth) == (3, 4, birth)
    assert not (await kept.verify_run(base, from_seq=1, max_events=0)).problem
    read = await kept.read_events(base, 1, limit=9)
    assert [each.event.payload for each in read.events][:2] == [
        Payload('"wombat"'),
        text(2 * LARGE),
    ]


async def test_a_repeated_act_returns_the_first_removal(own: PostgresStore) -> None:
    key, other = await saved(own, "run"), await saved(own, "other")
    for each in (key, other):
        await completed(own, each)

    first, is_repeat = await deleted(own, key, request_id="r")
    again = await deleted(own, key, request_id="r")

    assert (is_repeat, again) == (False, (first, True))
    with pytest.raises(IdempotencyMismatch):
        await deleted(own, other, request_id="r")
    records = (await own.admin.list_records("p", limit=9, after=None)).items
    assert [each.number for each in records] == [first.record]


async def test_removals_are_listed_by_page_and_by_run(own: PostgresStore) -> None:
    keys = [await saved(own, str(number)) for number in range(3)]
    for key in keys:
        await completed(own, key)
    made = [(await deleted(own, key))[0] for key in keys]

    page = await own.removals.list_removals("p", run_id="", limit=2, after=None)
    rest = await own.removals.list_removals("p", run_id="", limit=2, after=page.next_after)

    assert [*page.items, *rest.items] == made[::-1]
    assert rest.next_after is None
    assert await removals(own, "1") == (made[1],)
    alive = await saved(own, "alive")
    assert await removals(own, alive.run_id) == ()
    with pytest.raises(RunNotFound):
        await removals(own, "never")


async def test_nothing_is_removed_that_was_not_counted(kept: PostgresStore) -> None:
    key = await full(kept, "run")
    await deleted(kept, key)
    steps = [kept.feed.publish, kept.feed.count_usage, kept.feed.sum_stored, kept.search.index_text]
    for step in steps:
        assert await kept.removals.remove(ME) == 0
        while await step(ME):
            pass

    assert await kept.removals.remove(ME)
    # Counting anew begins with what is there: it is waited for, too.
    await kept.feed.forget_stored("other")
    assert await kept.removals.remove(ME) == 0


async def test_a_lost_duty_removes_nothing(kept: PostgresStore) -> None:
    key = await full(kept, "run")
    await relayed(kept)
    await deleted(kept, key)
    before = await rows_of(kept, key)
    await kept.feed.release_duty(REMOVALS, ME)
    assert await kept.feed.hold_duty(REMOVALS, "other") is not None

    assert await kept.removals.remove(ME) is None
    assert await rows_of(kept, key) == before


async def test_steps_are_bounded_and_say_how_far_they_are(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removing, "MOST_ROWS", 2)
    key = await saved(kept, "run")
    await kept.append_events(key, [Event("a")] * 4)
    await completed(kept, key)
    await relayed(kept)
    await deleted(kept, key)

    gone, left = [], [(await kept.feed.lag(REMOVALS)).events]
    while await kept.removals.remove(ME):
        gone.append((await removals(kept))[0].removed_events)
        left.append((await kept.feed.lag(REMOVALS)).events)

    assert gone[:3] == [2, 4, 5]
    assert gone[-1] == 5
    assert left[:4] == [5, 3, 1, 0]
    assert await kept.feed.lag(REMOVALS) == Lag(0, 0.0)


async def bytes_of(store: PostgresStore, key: RunKey) -> bytes:
    ref = ArtifactRef(key.project, run_id=key.run_id, name="a")
    opened = await store.artifacts.open_artifact(ref, offset=0, length=0)
    return b"".join([piece async for piece in opened.chunks])


async def test_an_upload_whose_content_was_removed_meanwhile_is_stored_again(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, other = await saved(kept, "run"), await saved(kept, "other")
    await upload(kept, key, "a", b"the same")
    await completed(kept, key)
    await relayed(kept)
    find = kept.artifacts._known

    async def removed_then(*given: object) -> object:
        known = await find(*given)  # type: ignore[arg-type]  # passed on
        await deleted(kept, key)
        await removed(kept)
        return known

    monkeypatch.setattr(kept.artifacts, "_known", removed_then)
    # The bytes are asked for before they are removed, too.
    monkeypatch.setattr(kept.artifacts._objects, "exists", _yes)
    await upload(kept, other, "a", b"the same")

    assert await bytes_of(kept, other) == b"the same"


async def _yes(_: str) -> bool:
    return True


async def test_bytes_that_are_removed_late_are_nobody_elses(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A holder that froze before it removed an object's bytes does it when all else has gone on."""
    key, other = await saved(kept, "run"), await saved(kept, "other")
    await upload(kept, key, "a", b"the same")
    await completed(kept, key)
    await relayed(kept)
    await deleted(kept, key)
    late: list[str] = []
    delete = kept.artifacts._objects.delete

    async def frozen(location: str) -> None:
        late.append(location)

    monkeypatch.setattr(kept.artifacts._objects, "delete", frozen)
    await removed(kept)
    monkeypatch.undo()
    await upload(kept, other, "a", b"the same")

    assert late
    for location in late:
        await delete(location)
    assert await bytes_of(kept, other) == b"the same"


async def test_an_upload_to_a_run_that_is_deleted_meanwhile_leaves_nothing(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await saved(kept, "run")
    await completed(kept, key)
    await relayed(kept)
    find = kept.artifacts._known

    async def deleted_then(*given: object) -> object:
        known = await find(*given)  # type: ignore[arg-type]  # passed on
        await deleted(kept, key)
        return known

    monkeypatch.setattr(kept.artifacts, "_known", deleted_then)
    with pytest.raises(RunNotFound):
        await upload(kept, key, "a", b"late")

    assert not files(kept)


async def test_a_removal_that_fails_lets_the_others_go_on(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await full(kept, "first"), await full(kept, "second")
    await relayed(kept)
    for key in (first, second):
        await deleted(kept, key)
    delete_folder = kept.artifacts._objects.delete_folder

    async def refusing(folder: str) -> None:
        if folder == removing.run_folder(first):
            raise StorageUnavailable("the object store")
        await delete_folder(folder)

    monkeypatch.setattr(kept.artifacts._objects, "delete_folder", refusing)
    with pytest.raises(StorageUnavailable):
        await removed(kept)
    done = {key: (await removals(kept, key.run_id))[0].is_done for key in (first, second)}
    monkeypatch.undo()
    await removed(kept)

    assert done == {first: False, second: True}
    assert all(each.is_done for each in await removals(kept))


async def test_a_content_that_is_uploaded_again_while_it_is_removed_is_kept(
    kept: PostgresStore,
) -> None:
    data = b"the same"
    for turn in range(10):
        key, other = await saved(kept, f"run-{turn}"), await saved(kept, f"other-{turn}")
        await upload(kept, key, "a", data)
        await completed(kept, key)
        await relayed(kept)
        await deleted(kept, key)

        removing_, _ = asyncio.create_task(removed(kept)), await asyncio.sleep(0)
        await upload(kept, other, "a", data)
        await removing_

        assert await bytes_of(kept, other) == data
        await completed(kept, other)
        await relayed(kept)
        await deleted(kept, other)
        await removed(kept)
    assert not files(kept)


@pytest.mark.owner
async def test_a_deleted_run_is_not_counted_anew(kept: PostgresStore) -> None:
    key = await full(kept, "run")
    await relayed(kept)
    await deleted(kept, key)

    await kept.feed.forget_usage("other")
    await kept.search.forget_text("other")
    while await kept.feed.count_usage("other") or await kept.search.index_text("other"):
        pass

    found = await rows_of(kept, key)
    assert "events" in found
    assert not {"usage_counts", "search_rows"} & found.keys()


@pytest.mark.owner
async def test_psql_removes_nothing_that_is_not_recorded(
    kept: PostgresStore, own_schema: str, database_url: str
) -> None:
    key = await full(kept, "run")
    await deleted(kept, key)
    async with kept._engine.connect() as conn:
        for statement in (
            "DELETE FROM events",
            "DELETE FROM outputs",
            "DELETE FROM requests",
            "DELETE FROM artifacts",
            "DELETE FROM removals",
            "DELETE FROM removal_steps",
            "UPDATE removals SET kind = kind",
            "UPDATE runs SET objective = ''",
            "SELECT remove_rows('events', run, 1) FROM runs",
            "SELECT remove_artifacts(run, 1) FROM runs",
            "SELECT clear_run(run) FROM runs",
        ):
            with pytest.raises(asyncpg.RestrictViolationError):
                await conn.execute(system(statement))
    other = await full(kept, "other")
    async with kept._engine.connect() as conn:
        for statement in ("DELETE FROM run_heads", "SELECT clear_run(run) FROM runs"):
            with pytest.raises(asyncpg.RestrictViolationError):
                await conn.execute(system(statement))
    assert await kept.get_run(other)


async def test_who_follows_a_run_that_is_deleted_is_told(own: PostgresStore) -> None:
    ref = ExternalRef("airflow", "7", owns_status=True)
    key = (await own.save_run(NewRun("p", "run", external_ref=ref))).run.key
    async with own.open_tail(key) as tail:
        await tail.read(1, limit=1, where=EVERY_EVENT)
        mark = tail.mark
        await deleted(own, key)
        assert await tail.wait(mark, 5)
        with pytest.raises(RunNotFound) as gone:
            await tail.read(1, limit=1, where=EVERY_EVENT)
        assert gone.value.was_deleted
    # Nor is it waited for, as one that may still be saved is.
    async with own.open_tail(key) as tail:
        with pytest.raises(RunNotFound):
            await tail.read(1, limit=1, where=EVERY_EVENT)
    async with own.open_tail(RunKey("p", "later")) as tail:
        assert (await tail.read(1, limit=1, where=EVERY_EVENT)).last_seq == 0


async def test_children_of_a_deleted_run_stay_as_they_were(kept: PostgresStore) -> None:
    parent = await full(kept, "parent")
    child = (await kept.save_run(NewRun("p", "child", parent_run_id="parent"))).run.key
    await kept.append_events(child, [Event("a")])
    await deleted(kept, parent)
    await relayed(kept)
    await removed(kept)

    assert (await kept.get_run(child)).born.parent_run_id == "parent"
    assert not (await kept.verify_run(child, from_seq=1, max_events=0)).problem
    assert await kept.save_run(NewRun("p", "child", parent_run_id="parent"))


async def test_a_deletion_races_writes_and_forks_of_its_run(own: PostgresStore) -> None:
    for turn in range(20):
        ref = ExternalRef("airflow", "7", owns_status=True)
        key = (await own.save_run(NewRun("p", f"run-{turn}", external_ref=ref))).run.key
        await own.append_events(key, [Event("a")])

        results = await asyncio.gather(
            own.append_events(key, [Event("b")] * 3),
            deleted(own, key),
            own.fork_run(NewFork(key, fork_run_id=f"fork-{turn}")),
            own.append_events(key, [Event("c")]),
            return_exceptions=True,
        )

        appended, deletion, forked, _ = results
        if isinstance(deletion, RunInUse):
            assert not isinstance(forked, BaseException)
            assert not (await own.verify_run(key, from_seq=1, max_events=0)).problem
        else:
            assert not isinstance(deletion, BaseException)
            assert isinstance(forked, RunNotFound)
            removal = deletion[0]
            count = 1 + (0 if isinstance(appended, RunNotFound) else 3)
            assert removal.last_seq in {count, count + 1}
