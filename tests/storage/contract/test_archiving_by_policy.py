"""Policies that archive the events of runs that ended long ago, and remove nothing of them."""

from __future__ import annotations

from datetime import timedelta

from runstore_storage.contract.access import PrincipalKind
from runstore_storage.contract.archives import ArchiveState
from runstore_storage.contract.events import Event
from runstore_storage.contract.feed import RETENTION
from runstore_storage.contract.holds import NewHold
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.retention import Blocker, Keep, Policy
from runstore_storage.contract.runs import NewFork
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore
from storage.contract.archiving import all_done, external, files, pages, restored, state_of
from storage.contract.test_removals import act, kept, relayed, removals, rows_of
from storage.contract.test_retention import (
    DAY,
    age,
    artifacts,
    decided,
    ends_can_be_moved,
    old,
    preview,
    put,
    snapshots,
)

__all__ = ["ends_can_be_moved", "kept"]

EVENTS = Keep(events=DAY)
_RESTORED_EARLIER = system("UPDATE archives SET changed_at = changed_at - :by::interval")


async def archiving(store: PostgresStore) -> int:
    """Make a pass, and do what it decided; how much that was."""
    done = await decided(store)
    await all_done(store)
    return done


async def test_events_are_archived_once_their_time_is_over(kept: PostgresStore) -> None:
    key, young = await old(kept, "run"), await old(kept, "young", days=0.5)
    run, before = await kept.get_run(key), await pages(kept, key)
    has = await snapshots(kept, key), await artifacts(kept, key)
    await put(kept, "cool", EVENTS)
    (due,) = await preview(kept)

    assert await archiving(kept) == 1

    assert (due.kind, due.blocker, due.runs, due.items) == (RemovalKind.EVENTS, None, 1, 3)
    assert due.sample_run_ids == ("run",)
    assert await kept.get_run(key) == run
    assert await pages(kept, key, read_archive=True) == before
    assert (await snapshots(kept, key), await artifacts(kept, key)) == has
    assert await pages(kept, young)
    (removal,) = await removals(kept, "run")
    assert (removal.kind, removal.removed_events) == (RemovalKind.EVENTS, 3)
    (record,) = (await kept.admin.list_records("p", limit=1, after=None)).items
    assert (record.number, record.act.resource) == (removal.record, "runs/run")
    assert (record.act.principal.kind, record.act.principal.id) == (PrincipalKind.DUTY, RETENTION)
    assert record.act.request == '{"kind": "EVENTS", "policies": ["cool"]}'
    assert await archiving(kept) == 0
    assert await preview(kept) == []


async def test_the_longest_time_counts_for_events_too(kept: PostgresStore) -> None:
    await old(kept, "run", days=5)
    await put(kept, "short", EVENTS)
    await put(kept, "long", Keep(events=10 * DAY))

    assert await archiving(kept) == 0


async def test_what_is_held_or_has_forks_is_not_archived(kept: PostgresStore) -> None:
    held, base = await old(kept, "held"), await old(kept, "base")
    await kept.holds.place_hold(NewHold("p", "why", held.run_id), act(held))
    await kept.fork_run(NewFork(base, 1, "fork"))
    await put(kept, "cool", EVENTS)

    found = {(each.blocker, each.sample_run_ids) for each in await preview(kept)}
    assert found == {(Blocker.HELD, ("held",)), (Blocker.IN_USE, ("base",))}
    assert await archiving(kept) == 0
    assert await pages(kept, held)


async def test_a_restored_run_is_archived_so_long_after_that(kept: PostgresStore) -> None:
    key = await old(kept, "run")
    before = await pages(kept, key)
    await put(kept, "cool", EVENTS)
    await archiving(kept)
    await restored(kept, key)

    assert await archiving(kept) == 0
    assert await pages(kept, key) == before
    async with kept._engine.connect() as conn:
        await conn.execute(_RESTORED_EARLIER, {"by": 2 * DAY})
    assert await archiving(kept) == 1
    assert await pages(kept, key, read_archive=True) == before


async def test_a_run_that_goes_is_not_archived_before(kept: PostgresStore) -> None:
    await old(kept, "run")
    await put(kept, "both", Keep(events=DAY, run=DAY))

    assert [each.kind for each in await preview(kept)] == [RemovalKind.RUN]
    assert await archiving(kept) == 1
    assert [each.kind for each in await removals(kept, "run")] == [RemovalKind.RUN]


async def test_an_archived_run_goes_with_its_archive(kept: PostgresStore) -> None:
    key = await old(kept, "run")
    await put(kept, "cool", EVENTS)
    await archiving(kept)
    await put(kept, "later", Keep(run=DAY))

    assert await archiving(kept) == 1

    assert set(await rows_of(kept, key)) == {"runs", "removals", "feed"}
    assert files(kept, key) == []


async def test_a_run_that_grows_is_archived_again_once_that_is_over(kept: PostgresStore) -> None:
    key = await external(kept)
    await relayed(kept)
    await age(kept, key, 2 * DAY)
    await put(kept, "cool", EVENTS, includes_external=True)
    assert await archiving(kept) == 1
    await kept.append_events(key, [Event("b", "late", payload=Payload("1"))])
    await relayed(kept)

    assert await archiving(kept) == 0
    await age(kept, key, 2 * DAY)
    assert await archiving(kept) == 1
    assert await state_of(kept, key) is ArchiveState.DONE
    assert (await pages(kept, key, read_archive=True))[0].last_seq == 5


async def test_an_archive_that_waits_for_its_readers_is_decided_once(kept: PostgresStore) -> None:
    key = await external(kept)
    await relayed(kept)
    await age(kept, key, 2 * DAY)
    await kept.feed.commit_position("p", "slow", 0)
    await put(kept, "cool", EVENTS, includes_external=True)

    assert await archiving(kept) == 1
    await kept.append_events(key, [Event("b", "late", payload=Payload("1"))])
    await relayed(kept)
    await age(kept, key, 2 * DAY)
    assert await archiving(kept) == 0
    assert await state_of(kept, key) is ArchiveState.PLANNED


async def test_a_policy_that_is_not_put_is_previewed(kept: PostgresStore) -> None:
    await old(kept, "run")

    (due,) = await preview(kept, Policy("new", Keep(events=timedelta(hours=1))))

    assert (due.kind, due.runs) == (RemovalKind.EVENTS, 1)
