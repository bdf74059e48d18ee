"""Policies: what they let go goes once it is old enough, and nothing that must stay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from runstore_storage.contract.access import PrincipalKind
from runstore_storage.contract.admin import Act
from runstore_storage.contract.artifacts import ArtifactFilter
from runstore_storage.contract.errors import (
    IdempotencyMismatch,
    PolicyNotFound,
    RunNotFound,
)
from runstore_storage.contract.events import Event
from runstore_storage.contract.feed import NO_LAG, RETENTION, sink_duty
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.holds import NewHold, RunSelection
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.retention import Blocker, Due, Keep, Policy
from runstore_storage.contract.runs import ExternalRef, NewFork, NewRun
from runstore_storage.contract.search import SearchQuery
from runstore_storage.contract.snapshots import Snapshot, SnapshotQuery
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore
from runstore_storage.removals import parts
from runstore_storage.retention import retaining
from storage.contract.test_removals import (
    ANN,
    ME,
    completed,
    deleted,
    files,
    full,
    kept,
    relayed,
    removals,
    removed,
    rows_of,
    saved,
    seen,
    upload,
)

__all__ = ["kept"]

DAY = timedelta(days=1)
IDLE = 30 * DAY
ALL = Keep(snapshots=DAY, artifacts=DAY, search_text=DAY)
_AGE = system("""
    UPDATE run_heads SET completed_at = completed_at - :by::interval,
        updated_at = updated_at - :by::interval
    WHERE run = (SELECT run FROM runs WHERE project = :project AND run_id = :run_id)
""")


@pytest.fixture(autouse=True)
async def ends_can_be_moved(owner: asyncpg.Connection) -> None:
    """Let tests say when a run has ended."""
    await owner.execute("ALTER TABLE run_heads DISABLE TRIGGER tr_run_heads_never_back")


def putting(name: str, request_id: str = "", method: str = "PutPolicy") -> Act:
    return Act("p", method, f"policies/{name}", ANN, (), "peer", "call", request_id, f'"{name}"')


async def put(store: PostgresStore, name: str, keep: Keep, **more: object) -> None:
    await store.retention.put_policy(Policy(name, keep, **more), putting(name))  # type: ignore[arg-type] # the caller's


async def age(store: PostgresStore, key: RunKey, by: timedelta) -> None:
    """Make the end of a run be so much earlier."""
    async with store._engine.connect() as conn:
        await conn.execute(_AGE, {"by": by, "project": key.project, "run_id": key.run_id})


async def old(store: PostgresStore, run_id: str, days: float = 2) -> RunKey:
    """A run with something of everything, which ended so long ago."""
    key = await full(store, run_id)
    await relayed(store)
    await age(store, key, days * DAY)
    return key


async def decided(store: PostgresStore) -> int:
    """Make a pass; how many removals it decided."""
    assert await store.feed.hold_duty(RETENTION, ME) is not None
    total = 0
    while done := await store.retention.retain(ME, idle=IDLE):
        total += done
    return total


async def retained(store: PostgresStore) -> int:
    """Make a pass, and remove what it decided; how many removals that were."""
    total = await decided(store)
    await removed(store)
    return total


async def preview(store: PostgresStore, policy: Policy | None = None) -> list[Due]:
    return list((await store.retention.preview_retention("p", policy, idle=IDLE)).due)


async def snapshots(store: PostgresStore, key: RunKey) -> list[str]:
    query = SnapshotQuery(key.project, key.run_id)
    page = await store.list_snapshots(query, limit=100, after=None)
    return sorted(each.snapshot.snapshot_id for each in page.items)


async def artifacts(store: PostgresStore, key: RunKey) -> list[str]:
    of_run = ArtifactFilter(run_id=key.run_id)
    page = await store.artifacts.list_artifacts(key.project, of_run, limit=100, after=None)
    return sorted(f"{each.new.name}@{each.version}" for each in page.items)


async def hits(store: PostgresStore, word: str = "wombat") -> set[str]:
    found = await store.search.search_events("p", SearchQuery(word), limit=9)
    return {hit.run_id for hit in found.hits}


async def test_without_policies_nothing_goes(kept: PostgresStore) -> None:
    key = await old(kept, "run", days=5000)

    assert await preview(kept) == []
    assert await retained(kept) == 0

    assert (await kept.get_run(key)).last_seq == 3
    assert await kept.feed.lag(RETENTION) == NO_LAG


async def test_a_run_goes_as_if_it_was_deleted_once_its_time_is_over(kept: PostgresStore) -> None:
    key, young = await old(kept, "run"), await old(kept, "young", days=0.5)
    of_young = await rows_of(kept, young)
    await put(kept, "short", Keep(run=DAY))

    assert await retained(kept) == 1

    with pytest.raises(RunNotFound):
        await kept.get_run(key)
    assert set(await rows_of(kept, key)) == {"runs", "removals", "feed"}
    assert await rows_of(kept, young) == of_young
    (removal,) = await removals(kept, "run")
    assert (removal.kind, removal.is_done, removal.removed_events) == (RemovalKind.RUN, True, 3)
    records = await kept.admin.list_records("p", limit=1, after=None)
    (record,) = records.items
    assert record.number == removal.record
    assert (record.act.method, record.act.resource) == ("Retention", "runs/run")
    assert (record.act.principal.kind, record.act.principal.id) == (PrincipalKind.DUTY, RETENTION)
    assert record.act.request == '{"kind": "RUN", "policies": ["short"]}'
    assert not (await kept.admin.verify_records("p", from_number=1)).problem
    assert await retained(kept) == 0


async def test_parts_of_a_run_go_and_the_run_stays(kept: PostgresStore) -> None:
    before = files(kept)
    key = await old(kept, "run")
    run, events = await kept.get_run(key), await kept.read_events(key, 1, limit=9)
    with_artifacts = files(kept)
    await put(kept, "parts", ALL)

    assert await retained(kept) == 3

    assert await kept.get_run(key) == run
    assert await kept.read_events(key, 1, limit=9) == events
    assert not (await kept.verify_run(key, from_seq=1, max_events=0)).problem
    assert (await kept.get_output(key, 0)).output.provenance
    assert (await snapshots(kept, key), await artifacts(kept, key)) == ([], [])
    assert await seen(kept, key) == {"listed", "counted", "in the feed"}
    left = await rows_of(kept, key)
    assert {"snapshots", "task_writes", "artifacts", "search_rows"}.isdisjoint(left)
    # Those of events and outputs stay, the contents of two artifacts go.
    assert len(with_artifacts - files(kept)) == 2
    assert len(files(kept) - before) == 1
    found = {each.kind: each for each in await removals(kept, "run")}
    assert set(found) == {RemovalKind.SNAPSHOTS, RemovalKind.ARTIFACTS, RemovalKind.SEARCH_TEXT}
    assert all(each.is_done and not each.is_stopped for each in found.values())
    assert {each.removed_events for each in found.values()} == {0}
    assert await retained(kept) == 0


async def test_parts_go_in_as_many_steps_as_it_takes(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most in ("MOST_ROWS", "MOST_ARTIFACTS", "MOST_SNAPSHOTS"):
        monkeypatch.setattr(parts, most, 2)
    key = await saved(kept, "run")
    for number in range(7):
        await kept.append_events(key, [Event("a", payload=Payload('"wombat"'))])
        await kept.put_snapshot(key, Snapshot(snapshot_id=f"s{number}", namespace=f"n{number % 2}"))
        await upload(kept, key, "a", b"%d" % number)
    await completed(kept, key)
    await relayed(kept)
    await age(kept, key, 2 * DAY)
    await put(kept, "parts", ALL)

    assert await retained(kept) == 3

    assert (await snapshots(kept, key), await artifacts(kept, key)) == ([], [])
    assert await hits(kept) == set()
    assert all(each.is_done for each in await removals(kept, "run"))


async def test_the_longest_time_of_all_policies_that_select_a_run_counts(
    kept: PostgresStore,
) -> None:
    await old(kept, "run", days=5)
    await put(kept, "short", Keep(run=DAY))
    await put(kept, "long", Keep(run=10 * DAY), where=RunSelection(tags=("t",)))
    await put(kept, "of others", Keep(run=100 * DAY), where=RunSelection(tags=("u",)))
    await put(kept, "silent", Keep(snapshots=100 * DAY))

    assert await retained(kept) == 0
    await age(kept, RunKey("p", "run"), 6 * DAY)
    assert await retained(kept) == 1


@pytest.mark.parametrize(
    ("where", "selects"),
    [
        (RunSelection(), True),
        (RunSelection(plan_id="x"), False),
        (RunSelection(tags=("t",)), True),
        (RunSelection(labels={"l": "1"}), True),
        (RunSelection(labels={"l": "2"}), False),
    ],
)
async def test_a_policy_is_about_the_runs_that_it_selects(
    kept: PostgresStore, where: RunSelection, selects: bool
) -> None:
    await old(kept, "run")
    await put(kept, "one", Keep(run=DAY), where=where)

    assert await retained(kept) == selects


async def test_a_policy_is_about_its_project(kept: PostgresStore) -> None:
    await old(kept, "run")
    elsewhere = await saved(kept, "run", "q")
    await completed(kept, elsewhere)
    await relayed(kept)
    await age(kept, elsewhere, 2 * DAY)
    await put(kept, "one", Keep(run=DAY))

    assert await retained(kept) == 1

    assert (await kept.get_run(elsewhere)).key == elsewhere


async def test_nothing_of_an_open_run_goes(kept: PostgresStore) -> None:
    key = await saved(kept, "run")
    await kept.append_events(key, [Event("a", payload=Payload('"wombat"'))])
    await kept.put_snapshot(key, Snapshot(snapshot_id="s"))
    await upload(kept, key, "a", b"1")
    await relayed(kept)
    await age(kept, key, 5000 * DAY)
    await put(kept, "all", replace(ALL, run=DAY), includes_external=True)

    assert await preview(kept) == []
    assert await retained(kept) == 0

    assert (await snapshots(kept, key), await artifacts(kept, key)) == (["s"], ["a@1"])


async def test_of_a_run_that_an_engine_owns_the_time_begins_with_each_write(
    kept: PostgresStore,
) -> None:
    ref = ExternalRef("langgraph", "7", owns_status=True)
    key = (await kept.save_run(NewRun("p", "run", external_ref=ref))).run.key
    for snapshot_id in ("s1", "s2"):
        await kept.append_events(key, [Event("a")])
        await kept.put_snapshot(key, Snapshot(snapshot_id=snapshot_id))
    await relayed(kept)
    await age(kept, key, 2 * DAY)
    await put(kept, "not those", Keep(snapshots=DAY))
    assert await retained(kept) == 0
    await put(kept, "those too", Keep(snapshots=DAY, run=3 * DAY), includes_external=True)

    assert await retained(kept) == 1

    assert await snapshots(kept, key) == ["s2"]  # it may go on from there
    await age(kept, key, 2 * DAY)
    await kept.append_events(key, [Event("a")])
    await relayed(kept)
    assert await retained(kept) == 0
    await age(kept, key, 4 * DAY)
    assert await retained(kept) == 1
    with pytest.raises(RunNotFound):
        await kept.get_run(key)


async def test_the_latest_snapshots_of_each_namespace_stay(kept: PostgresStore) -> None:
    key = await saved(kept, "run")
    for number in range(1, 6):
        await kept.append_events(key, [Event("a")])
        for namespace in ("", "sub"):
            await kept.put_snapshot(key, Snapshot(namespace, f"{namespace}{number}"))
    await completed(kept, key)
    await relayed(kept)
    await age(kept, key, 2 * DAY)
    await put(kept, "one", Keep(snapshots=DAY, last_snapshots=1))
    await put(kept, "two", Keep(snapshots=DAY, last_snapshots=2))
    await put(kept, "no snapshots", Keep(run=5 * DAY))

    assert await retained(kept) == 1

    assert await snapshots(kept, key) == ["4", "5", "sub4", "sub5"]


async def test_what_a_hold_holds_stays_until_it_is_released(kept: PostgresStore) -> None:
    await old(kept, "run")
    await put(kept, "all", replace(ALL, run=DAY))
    placing = putting("", method="PlaceHold")
    hold, _ = await kept.holds.place_hold(
        NewHold("p", "case 7", where=RunSelection(labels={"l": "1"})), placing
    )

    assert await retained(kept) == 0
    assert {each.blocker for each in await preview(kept)} == {Blocker.HELD}
    await kept.holds.release_hold(hold.hold_id, putting("", method="ReleaseHold"))
    assert await retained(kept) == 1


async def test_a_part_stops_where_a_hold_is_placed_meanwhile(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_ROWS", 1)
    key = await old(kept, "run")
    await put(kept, "text", Keep(search_text=DAY))
    assert await decided(kept) == 1
    assert await kept.removals.remove(ME) == 1
    left = (await rows_of(kept, key))["search_rows"]
    assert left == 2

    hold, _ = await kept.holds.place_hold(
        NewHold("p", "why", "run"), putting("", method="PlaceHold")
    )
    await removed(kept)

    assert (await rows_of(kept, key))["search_rows"] == left
    (removal,) = await removals(kept, "run")
    assert (removal.is_stopped, removal.done_at is not None) == (True, True)
    await kept.holds.release_hold(hold.hold_id, putting("", method="ReleaseHold"))
    assert await retained(kept) == 1
    assert "search_rows" not in await rows_of(kept, key)


async def test_a_part_stops_where_policies_let_it_go_no_longer(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "MOST_ARTIFACTS", 1)
    key = await old(kept, "run")
    await put(kept, "artifacts", Keep(artifacts=DAY))
    assert await decided(kept) == 1
    await kept.removals.remove(ME)

    await put(kept, "artifacts", Keep(artifacts=10 * DAY))
    await removed(kept)

    assert len(await artifacts(kept, key)) == 1
    assert [each.is_stopped for each in await removals(kept, "run")] == [True]


async def test_a_part_stops_where_its_run_is_deleted_meanwhile(kept: PostgresStore) -> None:
    key = await old(kept, "run")
    await put(kept, "parts", ALL)
    assert await decided(kept) == 3

    await deleted(kept, key)
    await removed(kept)

    found = {each.kind: each.is_stopped for each in await removals(kept, "run")}
    assert found.pop(RemovalKind.RUN) is False
    assert set(found.values()) == {True}
    assert set(await rows_of(kept, key)) == {"runs", "removals", "feed"}


async def test_of_the_base_of_a_fork_only_snapshots_go_that_the_fork_does_not_have(
    kept: PostgresStore,
) -> None:
    key = await saved(kept, "run")
    for number in range(1, 5):
        await kept.append_events(key, [Event("a", payload=Payload('"wombat"'))])
        await kept.put_snapshot(key, Snapshot(snapshot_id=f"s{number}"))
    await upload(kept, key, "a", b"1")
    await completed(kept, key)
    fork = await kept.fork_run(NewFork(key, at_seq=2, fork_run_id="fork"))
    await relayed(kept)
    await age(kept, key, 2 * DAY)
    await put(kept, "all", replace(ALL, run=DAY))

    blocked = {(each.kind, each.blocker, each.items) for each in await preview(kept)}
    assert await retained(kept) == 1

    assert blocked == {
        (RemovalKind.RUN, Blocker.IN_USE, 5),
        (RemovalKind.SNAPSHOTS, None, 2),
        (RemovalKind.ARTIFACTS, Blocker.IN_USE, 1),
        (RemovalKind.SEARCH_TEXT, Blocker.IN_USE, 5),
    }
    assert await snapshots(kept, key) == ["s1", "s2"]
    assert await artifacts(kept, key) == ["a@1"]
    assert not (await kept.verify_run(fork.run.key, from_seq=1, max_events=0)).problem
    await completed(kept, fork.run.key)
    await deleted(kept, fork.run.key)
    await relayed(kept)
    assert await retained(kept) == 1
    with pytest.raises(RunNotFound):
        await kept.get_run(key)


async def test_a_run_stays_until_its_readers_have_read_it(kept: PostgresStore) -> None:
    key = await old(kept, "run")
    last = (await kept.feed.read_feed("p", 1, limit=1)).last_position
    await put(kept, "one", Keep(run=DAY))
    await kept.feed.commit_position("p", "reader", last - 1)
    assert await kept.feed.hold_duty(sink_duty("hook"), ME) is not None

    async def unread() -> bool:
        assert await retained(kept) == 0
        (due,) = await preview(kept)
        assert (due.kind, due.items) == (RemovalKind.RUN, 3)
        return due.blocker is Blocker.UNREAD

    assert await unread()
    await kept.feed.commit_position("p", "reader", last)
    assert await unread()  # by the sink
    await kept.feed.advance_duty(sink_duty("hook"), ME, last)
    await kept.feed.release_duty(sink_duty("hook"), ME)
    assert await retained(kept) == 1
    with pytest.raises(RunNotFound):
        await kept.get_run(key)


async def test_a_reader_that_has_been_idle_for_long_keeps_nothing(kept: PostgresStore) -> None:
    await old(kept, "run")
    await put(kept, "one", Keep(run=DAY))
    await kept.feed.commit_position("p", "reader", 0)
    await kept.feed.hold_duty(sink_duty("hook"), ME)
    await kept.feed.release_duty(sink_duty("hook"), ME)
    assert await retained(kept) == 0
    async with kept._engine.connect() as conn:
        for idle in (
            "UPDATE consumers SET committed_at = committed_at - interval '31 days'",
            "UPDATE duties SET expires_at = expires_at - interval '31 days' WHERE name ~ '^sink'",
        ):
            assert await retained(kept) == 0
            await conn.execute(system(idle))

    assert await retained(kept) == 1


async def test_a_run_whose_events_are_not_published_stays(kept: PostgresStore) -> None:
    key = await full(kept, "run")
    await age(kept, key, 2 * DAY)
    await put(kept, "one", Keep(run=DAY))

    assert [each.blocker for each in await preview(kept)] == [Blocker.UNREAD]
    assert await retained(kept) == 0
    await relayed(kept)
    assert await retained(kept) == 1


async def test_a_preview_counts_what_then_goes_and_changes_nothing(kept: PostgresStore) -> None:
    for run_id in ("a", "b"):
        await old(kept, run_id)
    key = await old(kept, "c", days=0.5)
    policy = Policy("one", replace(ALL, snapshots=0.25 * DAY, run=DAY))
    before = [await rows_of(kept, RunKey("p", each)) for each in "abc"]

    found = await kept.retention.preview_retention("p", policy, idle=IDLE)

    assert [(each.kind, each.blocker, each.runs, each.items) for each in found.due] == [
        (RemovalKind.RUN, None, 2, 6),
        (RemovalKind.SNAPSHOTS, None, 1, 1),
    ]
    assert all(each.bytes > 100 for each in found.due)
    assert found.due[0].sample_run_ids == ("a", "b")
    assert (found.looked_at_runs, found.has_more) == (3, False)
    assert before == [await rows_of(kept, RunKey("p", each)) for each in "abc"]
    assert await preview(kept) == []
    await put(kept, "one", policy.keep)
    assert await preview(kept) == list(found.due)
    assert await retained(kept) == 3
    assert await preview(kept) == []
    assert await preview(kept, Policy("one", Keep(run=5 * DAY))) == []
    assert (await kept.get_run(key)).key == key


async def test_a_pass_goes_over_pages_of_runs_and_over_all_projects(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstore_storage.retention.retaining.PAGE", 2)
    monkeypatch.setattr("runstore_storage.retention.previewing.PAGE", 2)
    for project in ("p", "q"):
        for number in range(5):
            key = await saved(kept, f"run-{number}", project)
            await completed(kept, key)
            await relayed(kept)
            await age(kept, key, 2 * DAY)
        acting = replace(putting("one"), project=project)
        await kept.retention.put_policy(Policy("one", Keep(run=DAY)), acting)

    (due,) = await preview(kept)
    assert (due.runs, await retained(kept)) == (5, 10)


async def test_who_lost_the_duty_decides_nothing(kept: PostgresStore) -> None:
    key = await old(kept, "run")
    await put(kept, "one", Keep(run=DAY))
    assert await kept.feed.hold_duty(RETENTION, "another") is not None

    assert await kept.retention.retain(ME, idle=IDLE) is None

    assert (await kept.get_run(key)).key == key


async def test_versions_of_artifacts_go_on_after_those_that_were_removed(
    kept: PostgresStore,
) -> None:
    key = await old(kept, "run")
    await upload(kept, key, "mine", b"another")
    await put(kept, "artifacts", Keep(artifacts=DAY))
    await age(kept, key, DAY)
    await retained(kept)
    assert await artifacts(kept, key) == []

    for data in (b"one", b"two"):
        await upload(kept, key, "mine", data)

    assert await artifacts(kept, key) == ["mine@3", "mine@4"]


@pytest.mark.owner
async def test_a_search_index_that_is_made_anew_leaves_out_what_was_removed(
    kept: PostgresStore,
) -> None:
    ref = ExternalRef("langgraph", "7", owns_status=True)
    key = (await kept.save_run(NewRun("p", "run", external_ref=ref))).run.key
    other = await old(kept, "other", days=0)
    await kept.append_events(key, [Event("a", payload=Payload('"wombat"'))])
    await relayed(kept)
    await age(kept, key, 2 * DAY)
    await put(kept, "text", Keep(search_text=DAY), includes_external=True)
    assert await retained(kept) == 1
    await kept.append_events(key, [Event("a", payload=Payload('"quokka"'))])

    await kept.search.forget_text(ME)
    await relayed(kept)

    assert await hits(kept) == {other.run_id}
    assert await hits(kept, "quokka") == {"run"}


async def test_policies_are_listed_replaced_and_ended(kept: PostgresStore) -> None:
    keep = Keep(DAY, timedelta(hours=1), 7, 2 * DAY, 3 * DAY, 40000 * DAY)
    where = RunSelection((), "plan", ("t",), {"l": "1"})
    policy = Policy("b", keep, where, includes_external=True)
    await put(kept, "a", Keep(run=DAY))

    put_b, is_repeat = await kept.retention.put_policy(policy, putting("b", "r1"))

    assert (put_b.policy, put_b.put_by, is_repeat) == (policy, ANN, False)
    page = await kept.retention.list_policies("p", limit=1, after=None)
    assert [each.policy.name for each in page.items] == ["a"]
    page = await kept.retention.list_policies("p", limit=1, after=page.next_after)
    assert (page.items, page.next_after) == ((put_b,), None)
    again, is_repeat = await kept.retention.put_policy(policy, putting("b", "r1"))
    assert (again, is_repeat) == (put_b, True)
    with pytest.raises(IdempotencyMismatch):
        await kept.retention.put_policy(policy, putting("c", "r1"))
    await put(kept, "b", Keep(run=DAY))
    ending = putting("b", "r2", "DeletePolicy")
    assert [await kept.retention.delete_policy("b", ending) for _ in range(2)] == [False, True]
    with pytest.raises(PolicyNotFound):
        await kept.retention.delete_policy("b", putting("b", "r3", "DeletePolicy"))
    page = await kept.retention.list_policies("p", limit=9, after=None)
    assert [each.policy.name for each in page.items] == ["a"]


async def test_a_run_that_fails_lets_the_others_go(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id in ("a", "b", "c"):
        await old(kept, run_id)
    await put(kept, "one", Keep(run=DAY))
    decide: Callable[..., Awaitable[int]] = retaining.decide

    async def fail_for_b(conn: object, key: RunKey, *rest: object) -> int:
        if key.run_id == "b":
            raise ValueError("broken")
        return await decide(conn, key, *rest)

    monkeypatch.setattr(retaining, "decide", fail_for_b)
    assert await retained(kept) == 2
    monkeypatch.undo()
    assert await retained(kept) == 1


async def test_a_hold_is_placed_once_what_does_not_know_of_it_is_over(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both a decision and a step of a part keep holds out from their check to their commit."""
    await old(kept, "run")
    await put(kept, "text", Keep(search_text=DAY))
    placing: list[asyncio.Task[object]] = []
    decide: Callable[..., Awaitable[int]] = retaining.decide
    remove: Callable[..., Awaitable[int]] = parts._REMOVE[RemovalKind.SEARCH_TEXT]

    def beside(work: Callable[..., Awaitable[int]]) -> Callable[..., Awaitable[int]]:
        async def checked(*given: object) -> int:
            hold = NewHold("p", "why", "run")
            act = putting("", method="PlaceHold")
            placing.append(asyncio.create_task(kept.holds.place_hold(hold, act)))
            done, _ = await asyncio.wait(placing[-1:], timeout=0.5)
            assert not done
            return await work(*given)

        return checked

    monkeypatch.setattr(retaining, "decide", beside(decide))
    assert await decided(kept) == 1
    placed = await placing[0]
    assert isinstance(placed, tuple)
    await kept.holds.release_hold(placed[0].hold_id, putting("", method="ReleaseHold"))
    monkeypatch.setitem(parts._REMOVE, RemovalKind.SEARCH_TEXT, beside(remove))
    await removed(kept)
    await placing[1]

    assert [each.is_stopped for each in await removals(kept, "run")] == [False]


async def test_a_part_stops_where_its_run_is_forked_meanwhile(kept: PostgresStore) -> None:
    key = await old(kept, "run")
    before = await artifacts(kept, key)
    await put(kept, "artifacts", Keep(artifacts=DAY))
    assert await decided(kept) == 1

    await kept.fork_run(NewFork(key, fork_run_id="fork"))
    await removed(kept)

    assert await artifacts(kept, key) == before
    assert [each.is_stopped for each in await removals(kept, "run")] == [True]


async def test_search_text_goes_once_all_that_was_published_is_indexed(
    kept: PostgresStore,
) -> None:
    key = await old(kept, "run")
    await put(kept, "text", Keep(search_text=DAY))
    assert await decided(kept) == 1
    late = await saved(kept, "late")
    await kept.append_events(late, [Event("a")])
    while await kept.feed.publish(ME):
        pass

    assert await removed(kept) == 0
    assert (await rows_of(kept, key))["search_rows"] == 3
    await relayed(kept)
    assert await removed(kept) > 0
    assert "search_rows" not in await rows_of(kept, key)
