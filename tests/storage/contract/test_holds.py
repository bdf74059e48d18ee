"""Holds: nothing of what they hold is removed until they are released."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from runstore_storage.contract.access import Principal, PrincipalKind
from runstore_storage.contract.admin import Act
from runstore_storage.contract.errors import (
    HoldNotFound,
    IdempotencyMismatch,
    RunHeld,
    RunNotFound,
)
from runstore_storage.contract.heads import Outcome, RunKey, RunStatus
from runstore_storage.contract.holds import Hold, NewHold, RunSelection
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.runs import NewFork, NewRun
from runstore_storage.contract.snapshots import Snapshot, SnapshotQuery
from runstore_storage.postgres import PostgresStore

ANN = Principal(PrincipalKind.TOKEN, "ann", "")
BOB = Principal(PrincipalKind.TOKEN, "bob", "")


def act(
    project: str, method: str = "PlaceHold", *, by: Principal = ANN, request_id: str = ""
) -> Act:
    return Act(project, method, "holds", by, (), "peer", "call", request_id, f'{{"m": "{method}"}}')


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    """A run with the snapshot "s"."""
    new = NewRun(project, "run", plan_id="plan", tags=("a", "b"), labels={"case": "7", "x": ""})
    key = (await store.save_run(new)).run.key
    await store.put_snapshot(key, Snapshot(snapshot_id="s"))
    return key


async def placed(
    store: PostgresStore, project: str, where: RunSelection | None = None, run_id: str = ""
) -> Hold:
    new = NewHold(project, "case 7", run_id, where or RunSelection())
    return (await store.holds.place_hold(new, act(project)))[0]


async def released(store: PostgresStore, project: str, hold: Hold) -> None:
    await store.holds.release_hold(hold.hold_id, act(project, "ReleaseHold", by=BOB))


async def deleted(store: PostgresStore, key: RunKey) -> bool:
    """Whether the run's snapshot could be deleted."""
    try:
        found = await store.delete_snapshots(key, "", ["s"])
    except RunHeld:
        return False
    return found.snapshots == 1


async def listed(
    store: PostgresStore, project: str, run_id: str = "", *, all_: bool = False
) -> set[str]:
    page = await store.holds.list_holds(project, run_id=run_id, released=all_, limit=9, after=None)
    return {hold.hold_id for hold in page.items}


async def test_a_held_run_keeps_its_snapshots_until_every_hold_is_released(
    store: PostgresStore, key: RunKey, project: str
) -> None:
    one = await placed(store, project, run_id="run")
    other = await placed(store, project, run_id="run")

    with pytest.raises(RunHeld) as refused:
        await store.delete_snapshots(key, "", ["s"])
    assert refused.value.details == {"run_id": "run", "hold_id": one.hold_id}

    await released(store, project, one)
    assert not await deleted(store, key)
    await released(store, project, other)
    assert await deleted(store, key)


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        (RunSelection(), True),
        (RunSelection(statuses=(RunStatus.FAILED, RunStatus.RUNNING)), True),
        (RunSelection(statuses=(RunStatus.FAILED,)), False),
        (RunSelection(plan_id="plan"), True),
        (RunSelection(plan_id="other"), False),
        (RunSelection(tags=("b",)), True),
        (RunSelection(tags=("b", "c")), False),
        (RunSelection(labels={"case": "7", "x": ""}), True),
        (RunSelection(labels={"case": "8"}), False),
        (RunSelection(labels={"x": "7"}), False),
        (RunSelection((RunStatus.RUNNING,), "plan", ("a",), {"case": "7"}), True),
        (RunSelection((RunStatus.RUNNING,), "plan", ("a",), {"case": "8"}), False),
    ],
)
async def test_a_filter_holds_the_runs_that_meet_all_of_it(
    store: PostgresStore, key: RunKey, project: str, where: RunSelection, holds: bool
) -> None:
    hold = await placed(store, project, where)

    assert hold.where == where
    assert hold.run_id == ""
    assert await listed(store, project, "run") == ({hold.hold_id} if holds else set())
    assert await deleted(store, key) is not holds


async def test_a_filter_looks_at_a_run_as_it_is_then(
    store: PostgresStore, key: RunKey, project: str
) -> None:
    await placed(store, project, RunSelection(statuses=(RunStatus.SUCCEEDED,)))
    await store.complete_run(key, Completion(Outcome.SUCCEEDED))

    assert not await deleted(store, key)


async def test_a_hold_of_a_run_is_not_one_of_its_forks_or_of_another_project(
    store: PostgresStore, key: RunKey, project: str
) -> None:
    fork = (await store.fork_run(NewFork(key, fork_run_id="fork"))).run.key
    await store.put_snapshot(fork, Snapshot(snapshot_id="s"))
    other = (await store.save_run(NewRun(f"{project}/x", "run"))).run.key
    await store.put_snapshot(other, Snapshot(snapshot_id="s"))

    await placed(store, project, run_id="run")
    await placed(store, f"{project}/y")

    assert await deleted(store, fork)
    assert await deleted(store, other)


async def test_a_hold_says_who_placed_and_who_released_it(
    store: PostgresStore, key: RunKey, project: str
) -> None:
    hold = await placed(store, project, run_id="run")
    again = act(project, "ReleaseHold", by=BOB)
    ended, was_ended = await store.holds.release_hold(hold.hold_id, again)
    repeated, was_repeated = await store.holds.release_hold(hold.hold_id, again)

    assert (hold.placed_by, hold.reason, hold.run_id) == (ANN, "case 7", "run")
    assert (hold.released_by, hold.released_at) == (None, None)
    assert ended == replace(hold, released_by=BOB, released_at=ended.released_at)
    assert (was_ended, was_repeated, repeated) == (False, True, ended)


async def test_acts_on_holds_are_recorded(store: PostgresStore, key: RunKey, project: str) -> None:
    hold = await placed(store, project, run_id="run")
    await released(store, project, hold)

    page = await store.admin.list_records(project, limit=9, after=None)

    found = [(each.act.method, each.act.principal, each.status) for each in page.items]
    assert found == [("ReleaseHold", BOB, "OK"), ("PlaceHold", ANN, "OK")]
    assert page.items[1].act.resource == f"holds/{hold.hold_id}"


async def test_a_hold_is_placed_once_under_a_request_id(
    store: PostgresStore, key: RunKey, project: str
) -> None:
    new, once = NewHold(project, "case 7", "run"), act(project, request_id="r")
    first, is_repeat = await store.holds.place_hold(new, once)
    again, is_again = await store.holds.place_hold(new, once)

    assert (first, is_repeat, is_again) == (again, False, True)
    with pytest.raises(IdempotencyMismatch):
        await store.holds.place_hold(new, replace(once, request="other"))
    assert await listed(store, project) == {first.hold_id}


async def test_what_is_not_there_is_not_held_or_released(
    store: PostgresStore, project: str
) -> None:
    with pytest.raises(RunNotFound):
        await placed(store, project, run_id="none")
    with pytest.raises(HoldNotFound):
        await store.holds.release_hold("none", act(project, "ReleaseHold"))
    with pytest.raises(RunNotFound):
        await listed(store, project, "none")
    assert await listed(store, project, all_=True) == set()
    assert (await store.admin.list_records(project, limit=9, after=None)).items == ()


async def test_a_hold_of_another_project_is_not_released(
    store: PostgresStore, key: RunKey, project: str
) -> None:
    hold = await placed(store, project, run_id="run")

    with pytest.raises(HoldNotFound):
        await released(store, f"{project}/x", hold)

    assert not await deleted(store, key)


async def test_holds_are_listed_newest_first_page_by_page(
    store: PostgresStore, key: RunKey, project: str
) -> None:
    made = [await placed(store, project, run_id="run" if n % 2 else "") for n in range(5)]
    await released(store, project, made[0])
    seen, after = [], None
    while True:
        page = await store.holds.list_holds(project, run_id="", released=True, limit=2, after=after)
        seen += [hold.hold_id for hold in page.items]
        if (after := page.next_after) is None:
            break

    assert seen == [hold.hold_id for hold in reversed(made)]
    assert await listed(store, project) == {hold.hold_id for hold in made[1:]}
    assert await listed(store, project, "run") == {hold.hold_id for hold in made[1:]}


async def test_a_hold_waits_for_a_removal_that_does_not_know_of_it(
    own: PostgresStore, owner: asyncpg.Connection
) -> None:
    """Once it is placed, nothing that it holds is being removed."""
    key = (await own.save_run(NewRun("p", "run"))).run.key
    await own.put_snapshot(key, Snapshot(snapshot_id="s"))
    # What a removal holds from its check to its commit.
    lock = "pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '/holds/p', 0))"
    removing = owner.transaction()
    await removing.start()
    await owner.execute(f"SELECT {lock}")

    placing = asyncio.create_task(placed(own, "p", run_id="run"))
    done, _ = await asyncio.wait([placing], timeout=1)
    assert not done
    await removing.commit()
    await placing

    assert not await deleted(own, key)


async def test_whatever_comes_first_a_held_snapshot_is_there(own: PostgresStore) -> None:
    """Deletions race with holds: one that was made before its hold is over when that is placed."""
    for number in range(20):
        key = (await own.save_run(NewRun("p", f"run-{number}"))).run.key
        await own.put_snapshot(key, Snapshot(snapshot_id="s"))

        async def deletes(key: RunKey = key) -> bool:
            return await deleted(own, key)

        async def holds(key: RunKey = key) -> bool:
            """Whether the snapshot was there once the hold was placed."""
            await placed(own, "p", run_id=key.run_id)
            return await has_no_snapshot(own, key)

        was_deleted, was_gone = await asyncio.gather(deletes(), holds())

        assert was_deleted == was_gone


async def has_no_snapshot(store: PostgresStore, key: RunKey) -> bool:
    query = SnapshotQuery(key.project, key.run_id)
    return not (await store.list_snapshots(query, limit=9, after=None)).items
