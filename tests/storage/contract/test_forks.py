"""Replays and forks: the past as it was, and another future from there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from runstore_storage.contract.configs import ConfigKey, ConfigRef, LabelChange, NewVersion
from runstore_storage.contract.errors import (
    IdempotencyMismatch,
    RunCompleted,
    RunNotFound,
    SeqAhead,
    SnapshotNotFound,
)
from runstore_storage.contract.events import EVERY_EVENT, Event
from runstore_storage.contract.heads import Guard, Outcome, RunKey, RunStatus
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.payloads import Payload, Ref
from runstore_storage.contract.runs import (
    ExternalRef,
    ForkBase,
    NewFork,
    NewRun,
    ReplayedRun,
)
from runstore_storage.contract.snapshots import Snapshot, SnapshotQuery, SnapshotSelector, TaskWrite
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    return (await store.save_run(NewRun(project, "run", plan=Payload('{"p":1.0}')))).run.key


async def ticks(store: PostgresStore, key: RunKey, *types: str) -> None:
    await store.append_events(key, [Event(each) for each in types])


async def forked(store: PostgresStore, key: RunKey, at_seq: int = 0, name: str = "fork") -> RunKey:
    return (await store.fork_run(NewFork(key, at_seq, name))).run.key


async def types(store: PostgresStore, key: RunKey, *, limit: int = 1000) -> list[str]:
    page = await store.read_events(key, 1, limit=limit)
    assert [each.seq for each in page.events] == list(range(1, len(page.events) + 1))
    return [each.event.type for each in page.events]


async def replay(store: PostgresStore, key: RunKey, at_seq: int | None = None) -> ReplayedRun:
    return await store.replay_run(key, at_seq, namespace="", limit=1000)


async def is_verified(store: PostgresStore, key: RunKey) -> bool:
    last_seq = (await store.get_run(key)).last_seq
    problems = [
        (await store.verify_run(key, from_seq=from_seq, max_events=most)).problem
        for from_seq in range(1, last_seq + 2)
        for most in (0, 1)
        if from_seq <= max(last_seq, 1)
    ]
    return not any(problems)


async def test_a_fork_begins_with_the_history_and_goes_on_by_itself(
    store: PostgresStore, key: RunKey
) -> None:
    await ticks(store, key, "a", "b", "c")
    fork = await forked(store, key, 2)

    await ticks(store, fork, "x")
    await ticks(store, key, "d")

    assert await types(store, fork) == ["a", "b", "x"]
    assert await types(store, key) == ["a", "b", "c", "d"]
    run = await store.get_run(fork)
    assert (run.last_seq, run.status, run.writer_epoch) == (3, RunStatus.RUNNING, 1)
    assert run.born.fork_base is not None
    assert (run.born.fork_base.run_id, run.born.fork_base.seq) == ("run", 2)
    assert run.born.plan == Payload('{"p":1.0}')
    assert await is_verified(store, fork)
    assert await is_verified(store, key)


@pytest.mark.parametrize(("objective", "expected"), [(None, "find"), ("", ""), ("else", "else")])
async def test_a_fork_is_born_as_the_run_was_but_for_what_is_its_own(
    store: PostgresStore, project: str, objective: str | None, expected: str
) -> None:
    await store.save_run(NewRun(project, "parent"))
    born = NewRun(
        project,
        "run",
        plan_id="plan",
        objective="find",
        plan=Payload("[1]", "x/plan"),
        parent_run_id="parent",
        external_ref=ExternalRef("jira", "7"),
        config_refs=(ConfigRef("prompt", "kept elsewhere", 3, "sha256:0"),),
        tags=("old",),
        labels={"old": "1"},
        subjects=("user-7",),
    )
    key = (await store.save_run(born)).run.key
    await ticks(store, key, "a", "b")

    fork = NewFork(key, 1, "fork", objective, tags=("new",), labels={"new": "2"})
    saved = await store.fork_run(fork)

    assert saved.run.born == replace(
        born,
        run_id="fork",
        objective=expected,
        parent_run_id="",
        external_ref=None,
        tags=("new",),
        labels={"new": "2"},
        fork_base=ForkBase("run", 1),
        salt=saved.run.born.salt,
    )
    assert (await store.get_run(saved.run.key)).born == saved.run.born
    assert await is_verified(store, saved.run.key)


async def test_a_run_without_events_is_forked_and_its_fork_again(
    store: PostgresStore, key: RunKey
) -> None:
    first = await forked(store, key, name="first")
    second = await forked(store, first, name="second")
    await ticks(store, second, "a", "b")
    third = await forked(store, second, 1, "third")
    await ticks(store, third, "c")

    assert await types(store, third) == ["a", "c"]
    for each in (first, second, third):
        assert await is_verified(store, each), each


@pytest.mark.owner
@pytest.mark.slow
async def test_a_fork_has_room_for_its_events(own: PostgresStore) -> None:
    base = (await own.save_run(NewRun("p", "run"))).run.key
    await own.append_events(base, [Event("x")])
    async with own._engine.begin() as conn:  # as if a partition had been filled meanwhile
        await conn.execute(system("ALTER TABLE runs ALTER COLUMN run RESTART WITH 999999999"))

    fork = (await own.fork_run(NewFork(base))).run.key

    assert [each.seq for each in await own.append_events(fork, [Event("x")])] == [2]


async def test_no_event_is_copied(store: PostgresStore, key: RunKey) -> None:
    for _ in range(100):
        await ticks(store, key, *["a"] * 1000)

    fork = await forked(store, key)

    async with store._engine.connect() as conn:
        found = await conn.execute(
            system(
                "SELECT count(*) FROM events JOIN runs USING (run)"
                " WHERE project = :p1 AND run_id = :p2"
            ),
            {"p1": fork.project, "p2": fork.run_id},
        )
        assert found.scalar_one() == 0
    assert (await store.get_run(fork)).last_seq == 100_000
    page = await store.read_events(fork, 99_999, limit=10)
    assert [each.seq for each in page.events] == [99_999, 100_000]


async def test_a_repeated_fork_request_returns_the_same_fork(
    store: PostgresStore, key: RunKey
) -> None:
    await ticks(store, key, "a")
    first = await store.fork_run(NewFork(key, 1, "fork", tags=("t",)))

    again = await store.fork_run(NewFork(key, 1, "fork", tags=("t",)))
    with pytest.raises(IdempotencyMismatch):
        await store.fork_run(NewFork(key, 1, "fork", tags=("other",)))
    with pytest.raises(IdempotencyMismatch):
        await store.save_run(NewRun(key.project, "fork"))

    assert (first.deduplicated, again.deduplicated) == (False, True)
    assert again.run == first.run


async def test_a_fork_needs_a_seq_the_run_has(store: PostgresStore, key: RunKey) -> None:
    await ticks(store, key, "a")

    with pytest.raises(SeqAhead):
        await forked(store, key, 2)
    with pytest.raises(RunNotFound):
        await forked(store, RunKey(key.project, "nobody"))
    with pytest.raises(RunNotFound):
        await store.get_run(RunKey(key.project, "fork"))


async def test_a_completed_run_is_forked_before_its_end(store: PostgresStore, key: RunKey) -> None:
    await ticks(store, key, "a")
    await store.complete_run(key, Completion(Outcome.FAILED))

    with pytest.raises(RunCompleted):
        await forked(store, key, 2)
    fork = await forked(store, key)
    await ticks(store, fork, "again")
    await store.complete_run(fork, Completion(Outcome.SUCCEEDED))

    assert await types(store, fork) == ["a", "again", "run.completed"]
    assert (await store.get_run(key)).status is RunStatus.FAILED
    assert await is_verified(store, fork)


async def test_an_event_of_the_history_is_known_to_the_fork(
    store: PostgresStore, key: RunKey
) -> None:
    await store.append_events(key, [Event("a", event_id="one"), Event("b", event_id="two")])
    fork = await forked(store, key, 1)

    (again,) = await store.append_events(fork, [Event("a", event_id="one")])
    (new,) = await store.append_events(fork, [Event("b", event_id="two")], Guard(expected_seq=1))
    with pytest.raises(IdempotencyMismatch):
        await store.append_events(fork, [Event("other", event_id="one")])

    assert (again.seq, again.deduplicated) == (1, True)
    assert (new.seq, new.deduplicated) == (2, False)


async def test_forks_of_forks_have_one_history(store: PostgresStore, key: RunKey) -> None:
    await ticks(store, key, "a", "b", "c")
    first = await forked(store, key, 2, "first")
    await ticks(store, first, "d", "e")
    second = await forked(store, first, 3, "second")
    await ticks(store, second, "f")
    early = await forked(store, second, 1, "early")
    same = await forked(store, first, 2, "same")
    await ticks(store, same, "g")
    twin = await forked(store, same, 2, "twin")

    assert await types(store, second) == ["a", "b", "d", "f"]
    assert await types(store, early) == ["a"]
    assert await types(store, same) == ["a", "b", "g"]
    assert await types(store, twin) == ["a", "b"]
    for each in (key, first, second, early, same, twin):
        assert await is_verified(store, each), each


@pytest.mark.owner
async def test_a_change_in_the_shared_history_breaks_every_fork(own: PostgresStore) -> None:
    key = (await own.save_run(NewRun("p", "run"))).run.key
    await ticks(own, key, "a", "b")
    fork = await forked(own, key, 2)
    await ticks(own, fork, "c")
    async with own._engine.begin() as conn:
        await conn.execute(system("ALTER TABLE events DISABLE TRIGGER USER"))
        await conn.execute(system("UPDATE events SET type = 'changed' WHERE seq = 1"))

    found = await own.verify_run(fork, from_seq=1, max_events=0)

    assert found.problem_seq == 1


async def test_a_page_may_lie_on_both_sides_of_a_fork(store: PostgresStore, key: RunKey) -> None:
    await ticks(store, key, "a", "b", "c")
    fork = await forked(store, key, 3)
    await ticks(store, fork, "d", "e")

    seen: list[int] = []
    from_seq = 1
    while from_seq <= 5:
        page = await store.read_events(fork, from_seq, limit=2)
        assert len(page.events) <= 2
        seen += [each.seq for each in page.events]
        from_seq = page.next_from_seq

    assert seen == [1, 2, 3, 4, 5]


async def test_a_tail_of_a_fork_follows_the_fork(store: PostgresStore, key: RunKey) -> None:
    await ticks(store, key, "a")
    fork = await forked(store, key)
    async with store.open_tail(fork) as tail:
        mark = tail.mark
        before = await tail.read(1, limit=10, where=EVERY_EVENT)
        await ticks(store, key, "not here")
        await ticks(store, fork, "here")
        assert await tail.wait(mark, 10)
        after = await tail.read(before.next_from_seq, limit=10, where=EVERY_EVENT)

    assert [each.event.type for each in before.events] == ["a"]
    assert [each.event.type for each in after.events] == ["here"]


async def test_snapshots_of_the_history_belong_to_the_fork_until_it_left(
    store: PostgresStore, key: RunKey
) -> None:
    await ticks(store, key, "a")
    part = Payload('{"big":1}')
    await store.put_snapshot(key, Snapshot(snapshot_id="s1", state={"x": part}))
    await ticks(store, key, "b")
    fork = await forked(store, key, 1)
    await store.put_snapshot(key, Snapshot(snapshot_id="late", seq=1))
    await store.put_snapshot(key, Snapshot(snapshot_id="s2"))

    found = await store.get_snapshot(fork, "", SnapshotSelector())
    with pytest.raises(SnapshotNotFound):
        await store.get_snapshot(fork, "", SnapshotSelector(snapshot_id="late"))
    reference = Ref(sha256(part.data).digest())
    await store.put_snapshot(fork, Snapshot(snapshot_id="t1", state={"x": reference}))

    assert found.snapshot.snapshot.state == {"x": part}
    own = await store.get_snapshot(fork, "", SnapshotSelector())
    assert own.snapshot.snapshot.state == {"x": part}
    query = SnapshotQuery(fork.project, fork.run_id)
    listed = await store.list_snapshots(query, limit=10, after=None)
    assert [each.snapshot.snapshot_id for each in listed.items] == ["t1", "s1"]


async def test_task_writes_belong_to_the_fork_until_it_left(
    store: PostgresStore, key: RunKey
) -> None:
    await ticks(store, key, "a")
    await store.put_snapshot(key, Snapshot(snapshot_id="s"))
    await store.put_task_writes(key, "", [TaskWrite("early", 0, "s", payload=Payload("1"))])
    fork = await forked(store, key)
    await store.put_task_writes(key, "", [TaskWrite("late", 0, "s", payload=Payload("2"))])
    await store.put_task_writes(fork, "", [TaskWrite("own", 0, "s", payload=Payload("3"))])

    resumed = await store.resume_run(fork, namespace="", request_id="", actor="", limit=10)

    assert [each.task_id for each in resumed.task_writes] == ["early", "own"]
    query = SnapshotQuery(fork.project, fork.run_id, with_task_writes=True)
    (listed,) = (await store.list_snapshots(query, limit=10, after=None)).items
    assert listed.task_writes == resumed.task_writes
    other = await store.get_snapshot(key, "", SnapshotSelector())
    assert [each.task_id for each in other.task_writes] == ["early", "late"]


async def test_a_fork_takes_other_configs(store: PostgresStore, project: str) -> None:
    async def register(name: str, body: str, kind: str = "prompt") -> ConfigRef:
        config = ConfigKey(project, kind, name)
        made = await store.configs.register_version(NewVersion(config, Payload(body)))
        return ConfigRef(kind, name, made.version, made.digest)

    a1, b1, a2 = await register("a", "1"), await register("b", "1"), await register("a", "2")
    tool = await register("a", "3", "tool")
    key = (await store.save_run(NewRun(project, "run", config_refs=(a1, b1, tool)))).run.key
    await ticks(store, key, "x")

    saved = await store.fork_run(
        NewFork(key, 0, "fork", config_refs=(ConfigRef("prompt", "a", a2.version, ""),))
    )

    assert saved.run.born.config_refs == (b1, tool, a2)
    replayed = (await replay(store, saved.run.key)).configs
    assert [each.body for each in replayed] == [Payload("1"), Payload("3"), Payload("2")]


async def test_moving_a_label_changes_no_replay(store: PostgresStore, project: str) -> None:
    config = ConfigKey(project, "prompt", "a")
    await store.configs.register_version(NewVersion(config, Payload('"old"'), labels=("live",)))
    refs = (ConfigRef("prompt", "a", 0, "", "live"),)
    key = (await store.save_run(NewRun(project, "run", config_refs=refs))).run.key
    await ticks(store, key, "x")
    before = await replay(store, key)

    made = await store.configs.register_version(NewVersion(config, Payload('"new"')))
    await store.configs.change_label(config, LabelChange("live", made.version))

    assert await replay(store, key) == before
    assert before.configs[0].body == Payload('"old"')


async def test_a_replay_needs_a_seq_the_run_has(store: PostgresStore, key: RunKey) -> None:
    await ticks(store, key, "a")

    nothing = await replay(store, key, 0)
    with pytest.raises(SeqAhead):
        await replay(store, key, 2)

    assert (nothing.events.events, nothing.snapshot, nothing.at_seq) == ((), None, 0)


@pytest.mark.owner
async def test_a_run_with_forks_cannot_be_deleted(own: PostgresStore) -> None:
    key = (await own.save_run(NewRun("p", "run"))).run.key
    await ticks(own, key, "a")
    await forked(own, key)

    async with own._engine.begin() as conn:
        raw = conn.driver
        for table in ("runs", "run_heads"):
            await raw.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await raw.execute("DELETE FROM run_heads WHERE run = 1")
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="fk_runs_fork_parent"):
            await raw.execute("DELETE FROM runs WHERE run = 1")


@dataclass
class Model:
    """One run as it should be."""

    key: RunKey
    types: list[str] = field(default_factory=list)
    snapshots: list[tuple[int, str]] = field(default_factory=list)
    writes: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def state(self, at_seq: int) -> tuple[str, list[str], list[str]]:
        """(snapshot, tasks done since, types of the events since) at a seq."""
        seq, name = max((each for each in self.snapshots if each[0] <= at_seq), default=(0, ""))
        done = sorted(task for when, task in self.writes.get(name, []) if when <= at_seq)
        return name, done, self.types[seq:at_seq]

    def fork(self, key: RunKey, at_seq: int) -> Model:
        return Model(
            key,
            self.types[:at_seq],
            [each for each in self.snapshots if each[0] <= at_seq],
            {
                name: [each for each in done if each[0] <= at_seq]
                for name, done in self.writes.items()
            },
        )


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "snapshot", "task", "fork"]),
        st.integers(0, 5),
        st.integers(0, 1000),
    ),
    min_size=4,
    max_size=25,
)


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a failure is short enough as it is
)
@given(steps=STEPS)
async def test_a_replay_at_every_seq_is_what_the_model_says(
    store: PostgresStore, steps: list[tuple[str, int, int]]
) -> None:
    project = f"test/{uuid4().hex[:12]}"
    models = [Model((await store.save_run(NewRun(project, "root"))).run.key)]
    await _append(store, models[0], ["born"])
    for number, (step, which, how) in enumerate(steps):
        model = models[which % len(models)]
        if step == "append":
            await _append(store, model, [f"{number}.{n}" for n in range(1 + how % 3)])
        elif step == "snapshot":
            seq, name = 1 + how % len(model.types), f"s{number:03}"
            await store.put_snapshot(model.key, Snapshot(snapshot_id=name, seq=seq))
            model.snapshots.append((seq, name))
        elif step == "task":
            _, name = model.snapshots[how % len(model.snapshots)] if model.snapshots else (0, "")
            await store.put_task_writes(model.key, "", [TaskWrite(f"t{number:03}", 0, name)])
            model.writes.setdefault(name, []).append((len(model.types), f"t{number:03}"))
        else:
            at_seq = 1 + how % len(model.types)
            key = await forked(store, model.key, at_seq, f"fork{number}")
            models.append(model.fork(key, at_seq))
    for model in models:
        assert await types(store, model.key) == model.types
        assert not (await store.verify_run(model.key, from_seq=1, max_events=0)).problem
        for at_seq in range(len(model.types) + 1):
            assert _shown(await replay(store, model.key, at_seq)) == model.state(at_seq)


async def _append(store: PostgresStore, model: Model, new: list[str]) -> None:
    await ticks(store, model.key, *new)
    model.types += new


def _shown(replayed: ReplayedRun) -> tuple[str, list[str], list[str]]:
    return (
        replayed.snapshot.snapshot.snapshot_id if replayed.snapshot else "",
        [each.task_id for each in replayed.task_writes],
        [each.event.type for each in replayed.events.events],
    )
