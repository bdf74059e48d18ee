"""Store.delete_snapshots keeps what its docstring says, beside other writers and across forks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import uuid4

import pytest
from conftest import make_store
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from runstore_storage.contract.errors import (
    IdempotencyMismatch,
    RunNotFound,
    SnapshotInUse,
    SnapshotNotFound,
    UnknownRef,
    WriterEpochUnknown,
    WriterFenced,
)
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload, Ref
from runstore_storage.contract.runs import NewFork, NewRun
from runstore_storage.contract.snapshots import (
    DeletedSnapshots,
    Snapshot,
    SnapshotQuery,
    SnapshotSelector,
    TaskWrite,
)
from runstore_storage.database.statements import system
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore
from runstore_storage.snapshots.storing import LOOKED_UP_BYTES
from storage.contract.waiting import locked, queued

NOTHING = DeletedSnapshots(0, 0, 0)
LATEST = SnapshotSelector()


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    saved = await store.save_run(NewRun(project, "run"))
    await store.append_events(saved.run.key, [Event("a"), Event("b"), Event("c")])
    return saved.run.key


async def put(
    store: PostgresStore,
    key: RunKey,
    snapshot_id: str,
    *parts: str | Ref,
    seq: int = 0,
    namespace: str = "",
) -> None:
    state = {
        f"part{number}": Payload(part) if isinstance(part, str) else part
        for number, part in enumerate(parts)
    }
    await store.put_snapshot(
        key, Snapshot(namespace=namespace, snapshot_id=snapshot_id, seq=seq, state=state)
    )


async def ids(store: PostgresStore, key: RunKey, namespace: str | None = None) -> list[str]:
    query = SnapshotQuery(key.project, key.run_id, namespace, with_parts=True)
    page = await store.list_snapshots(query, limit=100, after=None)
    return sorted(each.snapshot.snapshot_id for each in page.items)


async def blob_sizes(store: PostgresStore, key: RunKey) -> dict[bytes, int]:
    """The bytes of the parts the run keeps, by hash."""
    async with store._engine.connect() as conn:
        found = await conn.execute(
            system(
                "SELECT sha256, octet_length(data) FROM blobs JOIN runs USING (run)"
                " WHERE project = :p1 AND run_id = :p2"
            ),
            {"p1": key.project, "p2": key.run_id},
        )
        return {row[0]: row[1] for row in found}


def hashed(*parts: str) -> set[bytes]:
    return {sha256(part.encode()).digest() for part in parts}


async def test_snapshots_go_with_their_task_writes_and_the_parts_only_they_had(
    store: PostgresStore, key: RunKey
) -> None:
    await put(store, key, "s1", "1", "[1]")
    await put(store, key, "s2", "2", "[2]")
    await put(store, key, "s3", "2", "[3]")
    writes = [TaskWrite(f"t{n}", 0, name) for n in range(2) for name in ("s1", "s3", "")]
    await store.put_task_writes(key, "", writes)
    sizes = await blob_sizes(store, key)

    deleted = await store.delete_snapshots(key, "", ["s1", "s2"])

    freed = sum(sizes[each] for each in hashed("1", "[1]", "[2]"))
    assert deleted == DeletedSnapshots(snapshots=2, task_writes=2, freed_bytes=freed)
    assert (await blob_sizes(store, key)).keys() == hashed("2", "[3]")
    found = await store.get_snapshot(key, "", LATEST)
    assert found.snapshot.snapshot.state == {"part0": Payload("2"), "part1": Payload("[3]")}
    assert [each.task_id for each in found.task_writes] == ["t0", "t1"]
    assert await ids(store, key) == ["s3"]


async def test_unknown_ids_are_ignored_and_a_retry_deletes_nothing(
    store: PostgresStore, key: RunKey
) -> None:
    await put(store, key, "s1", "1")

    first = await store.delete_snapshots(key, "", ["s1", "s1", "none"])
    again = await store.delete_snapshots(key, "", ["s1", "s1", "none"])

    assert (first.snapshots, again) == (1, NOTHING)


async def test_other_namespaces_and_runs_keep_theirs(store: PostgresStore, key: RunKey) -> None:
    other = (await store.save_run(NewRun(key.project, "other"))).run.key
    for owner, namespace in ((key, ""), (key, "graph"), (other, "")):
        await put(
            store, owner, "s", '"same"', f'"{namespace} of {owner.run_id}"', namespace=namespace
        )
        await store.put_task_writes(owner, namespace, [TaskWrite("t", 0, "s")])

    deleted = await store.delete_snapshots(key, "", ["s"])

    assert (deleted.snapshots, deleted.task_writes) == (1, 1)
    assert (await blob_sizes(store, key)).keys() == hashed('"same"', '"graph of run"')
    assert len(await blob_sizes(store, other)) == 2
    for owner, namespace in ((key, "graph"), (other, "")):
        found = await store.get_snapshot(owner, namespace, SnapshotSelector(snapshot_id="s"))
        assert len(found.task_writes) == 1
    with pytest.raises(RunNotFound):
        await store.delete_snapshots(RunKey(f"{key.project}2", "run"), "", ["s"])


async def test_a_resume_and_a_replay_go_on_with_what_is_left(
    store: PostgresStore, key: RunKey
) -> None:
    await put(store, key, "s1", "1", seq=1)
    await store.put_snapshot(key, Snapshot(snapshot_id="s2", parent_snapshot_id="s1", seq=2))
    await put(store, key, "s3", "3", seq=3)
    hash_before = (await store.get_run(key)).last_hash

    await store.delete_snapshots(key, "", ["s1", "s3"])

    assert (await store.get_run(key)).last_hash == hash_before
    replayed = await store.replay_run(key, 3, namespace="", limit=10)
    assert replayed.snapshot
    assert replayed.snapshot.snapshot.parent_snapshot_id == "s1"
    assert [each.seq for each in replayed.events.events] == [3]
    assert (await store.replay_run(key, 1, namespace="", limit=10)).snapshot is None
    resumed = await store.resume_run(key, namespace="", request_id="", actor="", limit=10)
    assert resumed.snapshot
    assert resumed.snapshot.snapshot.snapshot_id == "s2"
    assert not (await store.verify_run(key, from_seq=1, max_events=0)).problem


async def test_a_deleted_snapshot_is_not_put_again_by_a_repetition(
    store: PostgresStore, key: RunKey
) -> None:
    snapshot = Snapshot(snapshot_id="s", state={"x": Payload("1")})
    first = await store.put_snapshot(key, snapshot, events=[Event("step", event_id="e")])
    await store.delete_snapshots(key, "", ["s"])

    again = await store.put_snapshot(key, snapshot, events=[Event("step", event_id="e")])

    assert again.deduplicated
    assert (again.content_hash, again.last_seq) == (first.content_hash, first.last_seq)
    assert await ids(store, key) == []
    with pytest.raises(IdempotencyMismatch):
        await store.put_snapshot(key, Snapshot(snapshot_id="s"))


async def test_a_deleted_part_is_unknown_until_it_is_sent_again(
    store: PostgresStore, key: RunKey
) -> None:
    await put(store, key, "s1", "1")
    await store.delete_snapshots(key, "", ["s1"])

    with pytest.raises(UnknownRef):
        await put(store, key, "s2", Ref(sha256(b"1").digest()))
    await put(store, key, "s3", "1")
    await put(store, key, "s4", Ref(sha256(b"1").digest()))

    assert await ids(store, key) == ["s3", "s4"]


async def test_a_task_write_since_a_deleted_snapshot_is_refused(
    store: PostgresStore, key: RunKey
) -> None:
    await put(store, key, "s1")
    await store.delete_snapshots(key, "", ["s1"])

    with pytest.raises(SnapshotNotFound):
        await store.put_task_writes(key, "", [TaskWrite("t", 0, "s1")])


async def test_a_fenced_writer_deletes_nothing(store: PostgresStore, key: RunKey) -> None:
    await put(store, key, "s1")
    await store.resume_run(key, namespace="", request_id="", actor="", limit=1)

    with pytest.raises(WriterFenced):
        await store.delete_snapshots(key, "", ["s1"], writer_epoch=1)
    with pytest.raises(WriterEpochUnknown):
        await store.delete_snapshots(key, "", ["s1"], writer_epoch=3)

    assert await ids(store, key) == ["s1"]
    assert (await store.delete_snapshots(key, "", ["s1"], writer_epoch=2)).snapshots == 1


async def test_a_completed_run_loses_snapshots_and_keeps_its_end(
    store: PostgresStore, key: RunKey
) -> None:
    completion = Completion(
        Outcome.SUCCEEDED, final_snapshot=Snapshot(snapshot_id="end", state={"x": Payload("1")})
    )
    before = await store.complete_run(key, completion)

    deleted = await store.delete_snapshots(key, "", ["end"])

    assert (deleted.snapshots, await blob_sizes(store, key)) == (1, {})
    again = await store.complete_run(key, completion)
    assert (again.seq, again.revision, again.deduplicated) == (before.seq, before.revision, True)
    assert await ids(store, key) == []


async def test_what_a_fork_has_in_its_history_is_kept(store: PostgresStore, key: RunKey) -> None:
    await put(store, key, "s1", "1", seq=1)
    await put(store, key, "s2", "2", seq=2)
    fork = (await store.fork_run(NewFork(key, 1, "fork"))).run.key
    further = (await store.fork_run(NewFork(fork, 1, "further"))).run.key
    await put(store, key, "late", "3", seq=1)
    await put(store, key, "end", "4", seq=3)

    with pytest.raises(SnapshotInUse) as refused:
        await store.delete_snapshots(key, "", ["end", "s1"])
    assert refused.value.details == {
        "run_id": "run",
        "namespace": "",
        "snapshot_id": "s1",
        "fork_run_id": "fork",
    }
    assert await ids(store, key) == ["end", "late", "s1", "s2"]

    # Beyond the fork's base, and put after it: no fork sees those.
    assert (await store.delete_snapshots(key, "", ["s2", "late", "end"])).snapshots == 3
    for each in (key, fork, further):
        found = await store.get_snapshot(each, "", LATEST)
        assert found.snapshot.snapshot.state == {"part0": Payload("1")}


async def test_a_fork_deletes_only_what_is_its_own(store: PostgresStore, key: RunKey) -> None:
    await put(store, key, "s1", "1")
    await store.put_task_writes(key, "", [TaskWrite("parent", 0, "s1")])
    fork = (await store.fork_run(NewFork(key, 0, "fork"))).run.key
    await store.put_task_writes(fork, "", [TaskWrite("fork", 0, "s1")])
    await put(store, fork, "s2", Ref(sha256(b"1").digest()), "2")

    deleted = await store.delete_snapshots(fork, "", ["s1", "s2"])

    assert (deleted.snapshots, deleted.task_writes) == (1, 0)
    assert (await blob_sizes(store, fork), len(await blob_sizes(store, key))) == ({}, 1)
    found = await store.get_snapshot(fork, "", LATEST)
    assert found.snapshot.snapshot.state == {"part0": Payload("1")}
    assert [each.task_id for each in found.task_writes] == ["fork", "parent"]


@pytest.fixture(params=[False, True], ids=["table", "objects"])
async def offloading(
    request: pytest.FixtureRequest, database_url: str, db_schema: str
) -> AsyncIterator[PostgresStore]:
    large = LargePayloads(inline_bytes=1024, to_objects=request.param)
    store = make_store(database_url, db_schema, large_payloads=large)
    yield store
    await store.close()


LARGE = Payload(f'"{"x" * 2000}"')
NAME_OF_LARGE = Ref(b"payload:" + sha256(LARGE.data).digest())


async def test_a_payload_that_a_snapshot_refers_to_by_its_name_is_kept(
    offloading: PostgresStore, project: str
) -> None:
    key = (await offloading.save_run(NewRun(project, "run"))).run.key
    await offloading.append_events(key, [Event("large", payload=LARGE)])
    await put(offloading, key, "s1", NAME_OF_LARGE)

    deleted = await offloading.delete_snapshots(key, "", ["s1"])

    assert deleted == DeletedSnapshots(1, 0, 0)
    found = (await offloading.read_events(key, 1, limit=10)).events[0]
    assert found.event.payload == LARGE


async def test_an_output_that_a_snapshot_refers_to_by_its_name_is_kept(
    offloading: PostgresStore, project: str
) -> None:
    key = (await offloading.save_run(NewRun(project, "run"))).run.key
    await offloading.append_events(key, [Event("large", payload=LARGE)])
    fork = (await offloading.fork_run(NewFork(key))).run.key
    await put(offloading, fork, "s1", NAME_OF_LARGE)  # the event and its blob are the other run's
    await offloading.complete_run(fork, Completion(Outcome.SUCCEEDED, output=Output(LARGE)))

    deleted = await offloading.delete_snapshots(fork, "", ["s1"])

    assert deleted == DeletedSnapshots(1, 0, 0)
    assert (await offloading.get_output(fork, 0)).output.payload == LARGE


async def test_a_part_put_by_reference_while_a_deletion_waits_is_kept(
    store: PostgresStore, key: RunKey
) -> None:
    await put(store, key, "s1", "1")

    async with locked(store, key):
        putting = asyncio.create_task(put(store, key, "s2", Ref(sha256(b"1").digest())))
        await queued(store, 1)
        deleting = asyncio.create_task(store.delete_snapshots(key, "", ["s1"]))
        await queued(store, 2)
    await putting

    assert await deleting == DeletedSnapshots(1, 0, 0)
    assert (await store.get_snapshot(key, "", LATEST)).snapshot.snapshot.state == {
        "part0": Payload("1")
    }


async def test_a_part_deleted_while_a_reference_to_it_waits_is_unknown(
    store: PostgresStore, key: RunKey
) -> None:
    await put(store, key, "s1", "1")

    async with locked(store, key):
        deleting = asyncio.create_task(store.delete_snapshots(key, "", ["s1"]))
        await queued(store, 1)
        putting = asyncio.create_task(put(store, key, "s2", Ref(sha256(b"1").digest())))
        await queued(store, 2)
    assert (await deleting).freed_bytes > 0

    with pytest.raises(UnknownRef):
        await putting
    assert await ids(store, key) == []


@pytest.mark.parametrize("one", ["1", f'"{"x" * LOOKED_UP_BYTES}"'], ids=["small", "large"])
async def test_a_part_deleted_after_a_snapshot_was_prepared_with_it_is_stored_again(
    one: str, store: PostgresStore, key: RunKey
) -> None:
    await put(store, key, "s1", one, "2")

    async with locked(store, key):
        deleting = asyncio.create_task(store.delete_snapshots(key, "", ["s1"]))
        await queued(store, 1)
        putting = asyncio.create_task(put(store, key, "s2", one, "3"))
        await queued(store, 2)
    await asyncio.gather(deleting, putting)

    found = await store.get_snapshot(key, "", LATEST)
    assert found.snapshot.snapshot.state == {"part0": Payload(one), "part1": Payload("3")}
    assert (await blob_sizes(store, key)).keys() == hashed(one, "3")


async def test_the_last_of_deletions_that_wait_together_frees_what_they_shared(
    store: PostgresStore, key: RunKey
) -> None:
    for number in range(3):
        await put(store, key, f"s{number}", "1")

    async with locked(store, key):
        deleting = []
        for number in range(3):
            deleting.append(asyncio.create_task(store.delete_snapshots(key, "", [f"s{number}"])))
            await queued(store, number + 1)
    freed = sorted(each.freed_bytes for each in await asyncio.gather(*deleting))

    # Behind the first, Postgres serves those that wait in any order.
    assert (freed[:2], freed[2] > 0) == ([0, 0], True)
    assert await blob_sizes(store, key) == {}


async def put_as(
    store: PostgresStore, key: RunKey, request_id: str, snapshot_id: str, part: str
) -> None:
    """Put a snapshot under a name of the request's own, which frees the id when it is deleted."""
    snapshot = Snapshot(snapshot_id=snapshot_id, state={"part0": Payload(part)})
    await store.put_snapshot(key, snapshot, request_id=request_id)


async def test_a_snapshot_put_again_while_its_deletion_waits_is_judged_by_its_new_parts(
    store: PostgresStore, key: RunKey
) -> None:
    await put_as(store, key, "first", "s", "1")
    await put(store, key, "other", "2")

    async with locked(store, key):
        first = asyncio.create_task(store.delete_snapshots(key, "", ["s"]))
        await queued(store, 1)
        putting = asyncio.create_task(put_as(store, key, "second", "s", "2"))
        await queued(store, 2)
        second = asyncio.create_task(store.delete_snapshots(key, "", ["s"]))
        await queued(store, 3)
    results = await asyncio.gather(first, second)
    await putting

    # Behind the first, Postgres serves those that wait in any order.
    deleted = [each.snapshots for each in results]
    assert deleted in ([1, 1], [1, 0])
    assert (await blob_sizes(store, key)).keys() == hashed("2")
    assert await ids(store, key) == (["other"] if deleted == [1, 1] else ["other", "s"])


async def test_a_snapshot_put_again_is_another_even_while_the_clock_stands_still(
    store: PostgresStore, key: RunKey
) -> None:
    async with store._engine.begin() as conn:
        await conn.execute(
            system(
                "UPDATE run_heads h SET updated_at = now() + interval '1 hour' FROM runs r"
                " WHERE r.run = h.run AND r.project = :p1"
            ),
            {"p1": key.project},
        )
    await put_as(store, key, "first", "s", "1")
    await put(store, key, "other", "2")

    async with locked(store, key):
        deleting = asyncio.create_task(store.delete_snapshots(key, "", ["s"]))
        await queued(store, 1)
        putting = asyncio.create_task(put_as(store, key, "second", "s", "2"))
        await queued(store, 2)
        last = asyncio.create_task(store.delete_snapshots(key, "", ["other"]))
        await queued(store, 3)
    await asyncio.gather(deleting, putting)

    assert (await last).snapshots == 1
    found = await store.get_snapshot(key, "", LATEST)
    assert found.snapshot.snapshot.state == {"part0": Payload("2")}


async def test_a_fork_made_while_a_deletion_waits_keeps_the_snapshot(
    store: PostgresStore, key: RunKey
) -> None:
    await put(store, key, "s1", "1")

    async with locked(store, key):
        forking = asyncio.create_task(store.fork_run(NewFork(key, 0, "fork")))
        await queued(store, 1)
        deleting = asyncio.create_task(store.delete_snapshots(key, "", ["s1"]))
        await queued(store, 2)
    fork = (await forking).run.key

    with pytest.raises(SnapshotInUse):
        await deleting
    assert await ids(store, fork) == ["s1"]


async def test_no_reader_and_no_writer_meets_half_a_deletion(
    database_url: str, db_schema: str, store: PostgresStore, key: RunKey
) -> None:
    """Two processes put snapshots of few contents, in full and by reference, delete and read."""
    other = make_store(database_url, db_schema)
    seen = {"stored": 0, "unknown": 0, "deleted": 0, "read": 0}

    async def write(used: PostgresStore, name: str) -> None:
        for number in range(40):
            content = str(number % 3)
            part = Ref(sha256(content.encode()).digest()) if number % 2 else content
            try:
                await put(used, key, f"{name}{number}", part, f'"{name}{number}"')
                seen["stored"] += 1
            except UnknownRef:
                seen["unknown"] += 1

    async def delete(used: PostgresStore) -> None:
        while not writing.done():
            there = await ids(used, key)
            if there:
                deleted = await used.delete_snapshots(key, "", there[::2])
                seen["deleted"] += deleted.snapshots

    async def read(used: PostgresStore) -> None:
        while not writing.done():
            try:
                await used.get_snapshot(key, "", LATEST)
                seen["read"] += 1
            except SnapshotNotFound:
                continue

    try:
        writing = asyncio.gather(*(write((store, other)[n % 2], f"w{n}-") for n in range(4)))
        await asyncio.gather(writing, delete(store), delete(other), read(store), read(other))
        left = await ids(store, key)
        assert seen["stored"] == seen["deleted"] + len(left)
        await store.delete_snapshots(key, "", left)
        assert await blob_sizes(store, key) == {}
        assert all(seen.values()), seen
    finally:
        await other.close()


@dataclass
class Model:
    """The snapshots a run has of its own, and those its history brings."""

    key: RunKey
    own: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    inherited: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    forks: list[Model] = field(default_factory=list)

    @property
    def all(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        return self.inherited | self.own

    @property
    def kept(self) -> set[str]:
        """What some fork needs."""
        return {name for fork in self.forks for name in fork.inherited} & self.own.keys()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "ref", "delete", "delete", "fork"]),
        st.integers(0, 3),
        st.integers(0, 2**16),
    ),
    min_size=4,
    max_size=25,
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a failure is short enough as it is
)
@given(steps=STEPS)
async def test_what_is_left_is_what_the_model_says(
    store: PostgresStore, steps: list[tuple[str, int, int]]
) -> None:
    project = f"test/{uuid4().hex[:12]}"
    models = [Model((await store.save_run(NewRun(project, "root"))).run.key)]
    await store.append_events(models[0].key, [Event(each) for each in "abcd"])
    for number, (step, which, how) in enumerate(steps):
        model = models[which % len(models)]
        if step == "put":
            parts, seq = (str(how % 4), f'"{how % 3}"'), 1 + how % 4
            await put(store, model.key, f"s{number:02}", *parts, seq=seq)
            model.own[f"s{number:02}"] = (seq, parts)
        elif step == "ref":
            content = str(how % 4)
            known = any(content in parts for _, parts in model.all.values())
            try:
                reference = Ref(sha256(content.encode()).digest())
                await put(store, model.key, f"s{number:02}", reference, seq=1)
                model.own[f"s{number:02}"] = (1, (content,))
            except UnknownRef:
                assert not known
            else:
                # A fork may refer to what the other run put after it, too.
                assert known or model is not models[0]
        elif step == "delete":
            names = [name for place, name in enumerate(sorted(model.all)) if how >> place & 1]
            chosen = {*names, "none"} & model.own.keys()
            if chosen & model.kept:
                with pytest.raises(SnapshotInUse):
                    await store.delete_snapshots(model.key, "", [*names, "none"])
            else:
                deleted = await store.delete_snapshots(model.key, "", [*names, "none"])
                assert deleted.snapshots == len(chosen)
                for name in chosen:
                    del model.own[name]
        else:
            at_seq = 1 + how % 4
            forked = await store.fork_run(NewFork(model.key, at_seq, f"fork{number}"))
            seen = {name: each for name, each in model.all.items() if each[0] <= at_seq}
            models.append(Model(forked.run.key, inherited=seen))
            model.forks.append(models[-1])
            await store.append_events(
                forked.run.key, [Event(each) for each in "abcd"[: 4 - at_seq]]
            )
    for model in models:
        assert await ids(store, model.key) == sorted(model.all)
        for name, (seq, parts) in model.all.items():
            found = await store.get_snapshot(model.key, "", SnapshotSelector(snapshot_id=name))
            assert found.snapshot.snapshot.seq == seq
            assert tuple(each.content for each in found.snapshot.snapshot.state.values()) == parts
        needed = hashed(*(part for _, parts in model.own.values() for part in parts))
        assert (await blob_sizes(store, model.key)).keys() == needed
