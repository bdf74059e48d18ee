"""Store's snapshot and task write methods keep what their docstrings say."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import product

import pytest
from runstore_storage.contract.errors import (
    IdempotencyMismatch,
    RunCompleted,
    SeqConflict,
    SnapshotAhead,
    SnapshotNotFound,
    UnknownRef,
    WriterFenced,
)
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import Guard, Outcome, RunKey, RunStatus
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.payloads import Payload, Ref
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.snapshots import (
    PlanNode,
    Snapshot,
    SnapshotQuery,
    SnapshotReason,
    SnapshotSelector,
    StoredSnapshot,
    TaskWrite,
)
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore
from runstore_storage.snapshots.metadata import MAX_CHARACTERS, metadata_terms
from runstore_storage.sql import blobs
from storage.contract.waiting import locked, queued

LATEST = SnapshotSelector()


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    return (await store.save_run(NewRun(project, "run"))).run.key


async def count(store: PostgresStore, table: str, key: RunKey) -> int:
    async with store._engine.connect() as conn:
        found = await conn.execute(
            system(f"SELECT count(*) FROM {table} JOIN runs USING (run) WHERE project = :p1"),
            {"p1": key.project},
        )
        return int(found.scalar_one())


async def test_a_snapshot_comes_back_whole(store: PostgresStore, key: RunKey) -> None:
    snapshot = Snapshot(
        namespace="graph",
        snapshot_id="s-1",
        parent_snapshot_id="s-0",
        plan_version_id="v1",
        reason=SnapshotReason.ERROR,
        nodes=(
            PlanNode(
                "n1",
                "tool",
                ("facet", "other"),
                "done",
                input_schema=Payload('{"type": "object"}'),
                output_schema=Payload('{"type":"string"}'),
                provenance=Payload("[]"),
                state=Payload(bytes(range(256)), "application/x"),
            ),
            PlanNode("n2"),
        ),
        pending_node_ids=("n2", 'qu"ote'),
        state={"b": Payload("1.0"), "a": Payload("1.0", "application/json"), "c": Payload(b"1.0")},
        metadata=Payload('{"step": 1, "step": 2}'),
    )

    answer = await store.put_snapshot(key, snapshot)

    found = await store.get_snapshot(key, "graph", LATEST)
    assert found.snapshot.snapshot == snapshot
    assert found.snapshot.content_hash == answer.content_hash


async def test_parts_too_many_for_one_statement_come_back_whole(
    store: PostgresStore, key: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "MOST_ROWS", 3)
    snapshots = [
        Snapshot(
            snapshot_id=f"s-{first}",
            state={f"part {each}": Payload(f"{each}") for each in range(first, first + 10)},
        )
        for first in (0, 5)
    ]

    for snapshot in snapshots:
        await store.put_snapshot(key, snapshot, events=[Event("step")])

    for snapshot in snapshots:
        selector = SnapshotSelector(snapshot_id=snapshot.snapshot_id)
        found = await store.get_snapshot(key, "", selector)
        assert found.snapshot.snapshot.state == snapshot.state
    assert await count(store, "blobs", key) == 15


async def test_a_step_is_stored_whole_or_not_at_all(store: PostgresStore, key: RunKey) -> None:
    with pytest.raises(UnknownRef):
        await store.put_snapshot(
            key,
            Snapshot(state={"a": Payload("1"), "b": Ref(b"x" * 32)}),
            events=[Event("step")],
            task_writes=[TaskWrite("t", 0)],
        )

    assert (await store.get_run(key)).last_seq == 0
    assert [await count(store, table, key) for table in ("blobs", "snapshots", "task_writes")] == [
        0,
        0,
        0,
    ]


async def test_events_of_a_step_come_before_its_snapshot(store: PostgresStore, key: RunKey) -> None:
    answer = await store.put_snapshot(
        key, Snapshot(snapshot_id="s"), events=[Event("a"), Event("b")]
    )

    assert (answer.seq, answer.last_seq) == (2, 2)


@pytest.mark.parametrize(
    ("reason", "type_", "status"),
    [
        (SnapshotReason.PAUSE, "run.paused", RunStatus.PAUSED),
        (SnapshotReason.REPLAN, "run.replanned", RunStatus.RUNNING),
    ],
)
async def test_a_pause_and_a_new_plan_set_the_status_and_append_their_event(
    store: PostgresStore,
    key: RunKey,
    reason: SnapshotReason,
    type_: str,
    status: RunStatus,
) -> None:
    answer = await store.put_snapshot(key, Snapshot(reason=reason))

    page = await store.read_events(key, 1, limit=9)
    assert [event.event.type for event in page.events] == [type_]
    assert answer.seq == 1
    assert (await store.get_run(key)).status is status


async def test_an_unchanged_part_is_stored_once(store: PostgresStore, key: RunKey) -> None:
    big = Payload('"' + "x" * 10_000 + '"')
    await store.put_snapshot(key, Snapshot(snapshot_id="1", state={"big": big, "n": Payload("1")}))
    await store.put_snapshot(key, Snapshot(snapshot_id="2", state={"big": big, "n": Payload("2")}))
    sha = sha256(big.data).digest()
    await store.put_snapshot(key, Snapshot(snapshot_id="3", state={"big": Ref(sha)}))

    assert await count(store, "blobs", key) == 3
    found = await store.get_snapshot(key, "", SnapshotSelector(snapshot_id="3"))
    assert found.snapshot.snapshot.state == {"big": big}


async def test_a_snapshot_ahead_of_the_run_is_refused(store: PostgresStore, key: RunKey) -> None:
    with pytest.raises(SnapshotAhead):
        await store.put_snapshot(key, Snapshot(seq=1))


async def test_a_snapshot_is_guarded_as_an_append(store: PostgresStore, key: RunKey) -> None:
    with pytest.raises(SeqConflict):
        await store.put_snapshot(key, Snapshot(), guard=Guard(expected_seq=1))
    await store.resume_run(key, namespace="", request_id="", actor="", limit=1)
    with pytest.raises(WriterFenced):
        await store.put_snapshot(key, Snapshot(), guard=Guard(writer_epoch=1))
    await store.complete_run(key, Completion(Outcome.SUCCEEDED))
    with pytest.raises(RunCompleted):
        await store.put_snapshot(key, Snapshot())


@pytest.mark.parametrize(("snapshot_id", "request_id"), [("s", ""), ("", "r"), ("s", "r")])
async def test_a_repeated_step_returns_the_first_answer(
    store: PostgresStore, key: RunKey, snapshot_id: str, request_id: str
) -> None:
    snapshot = Snapshot(snapshot_id=snapshot_id, state={"a": Payload("1")})
    step = [Event("step", event_id="e")]
    first = await store.put_snapshot(key, snapshot, events=step, request_id=request_id)
    await store.append_events(key, [Event("later")])

    again = await store.put_snapshot(key, snapshot, events=step, request_id=request_id)

    assert again.deduplicated
    assert (again.snapshot_id, again.seq, again.content_hash, again.created_at) == (
        first.snapshot_id,
        first.seq,
        first.content_hash,
        first.created_at,
    )
    assert (await store.get_run(key)).last_seq == 2


async def test_a_known_snapshot_id_with_other_content_is_a_mismatch(
    store: PostgresStore, key: RunKey
) -> None:
    await store.put_snapshot(key, Snapshot(snapshot_id="s", state={"a": Payload("1")}))

    with pytest.raises(IdempotencyMismatch):
        await store.put_snapshot(key, Snapshot(snapshot_id="s", state={"a": Payload("2")}))
    with pytest.raises(IdempotencyMismatch):
        await store.put_snapshot(key, Snapshot(snapshot_id="s"), request_id="other")


async def test_a_step_that_is_put_several_times_at_once_is_stored_once(
    store: PostgresStore, key: RunKey
) -> None:
    snapshot = Snapshot(snapshot_id="s", state={"a": Payload("1")})
    step = [Event("step", event_id="e")]

    async with locked(store, key):
        putting = [
            asyncio.create_task(store.put_snapshot(key, snapshot, events=step)) for _ in range(3)
        ]
        await queued(store, 3)
    answers = await asyncio.gather(*putting)

    first = next(each for each in answers if not each.deduplicated)
    others = [each for each in answers if each.deduplicated]
    assert others == [replace(first, deduplicated=True)] * 2
    assert (await store.get_run(key)).last_seq == 1


async def test_snapshots_are_chosen_by_id_plan_version_seq_or_age(
    store: PostgresStore, key: RunKey
) -> None:
    for number in range(1, 4):
        await store.put_snapshot(
            key,
            Snapshot(snapshot_id=f"s{number}", plan_version_id=f"v{number % 2}"),
            events=[Event("step")],
        )
    await store.put_snapshot(key, Snapshot(snapshot_id="s0"))

    async def chosen(selector: SnapshotSelector) -> str:
        return (await store.get_snapshot(key, "", selector)).snapshot.snapshot.snapshot_id

    assert await chosen(LATEST) == "s3"
    assert await chosen(SnapshotSelector(snapshot_id="s1")) == "s1"
    assert await chosen(SnapshotSelector(plan_version_id="v0")) == "s2"
    assert await chosen(SnapshotSelector(at_seq=1)) == "s1"
    for missing, said in (
        (SnapshotSelector(at_seq=0), "at or before seq 0"),
        (SnapshotSelector(snapshot_id="s9"), "s9"),
        (SnapshotSelector(plan_version_id="v9"), "of plan version v9"),
    ):
        with pytest.raises(SnapshotNotFound) as caught:
            await chosen(missing)
        assert caught.value.details["snapshot"] == said


async def test_lists_go_from_the_latest_on_and_are_filtered_by_metadata(
    store: PostgresStore, key: RunKey
) -> None:
    for number in range(5):
        await store.put_snapshot(
            key,
            Snapshot(
                snapshot_id=f"s{number}",
                namespace="x" if number == 4 else "",
                state={"n": Payload(str(number))},
                metadata=Payload(f'{{"even": {str(number % 2 == 0).lower()}, "n": {number}.0}}'),
            ),
            events=[Event("step")],
        )

    async def ids(query: SnapshotQuery, limit: int = 2) -> list[str]:
        found, after = [], None
        while True:
            page = await store.list_snapshots(query, limit=limit, after=after)
            found += [each.snapshot.snapshot_id for each in page.items]
            after = page.next_after
            if after is None:
                return found

    project = key.project
    assert await ids(SnapshotQuery(project, "run")) == ["s4", "s3", "s2", "s1", "s0"]
    assert await ids(SnapshotQuery(project)) == ["s4", "s3", "s2", "s1", "s0"]
    assert await ids(SnapshotQuery(project, "run", namespace="")) == ["s3", "s2", "s1", "s0"]
    assert await ids(SnapshotQuery(project, "run", before="s2")) == ["s1", "s0"]
    even = SnapshotQuery(project, "run", metadata=Payload('{"even": true}'))
    assert await ids(even) == ["s4", "s2", "s0"]
    assert await ids(SnapshotQuery(project, metadata=Payload('{"n": 3, "even": false}'))) == ["s3"]
    with pytest.raises(SnapshotNotFound):
        await ids(SnapshotQuery(project, "run", before="s9"))


async def at_one_time(store: PostgresStore, project: str, *, hours: int) -> None:
    """Have all that is put to the runs of a project from now on put at one time."""
    async with store._engine.begin() as conn:
        await conn.execute(
            system(
                "UPDATE run_heads h SET updated_at = :at FROM runs r"
                " WHERE r.run = h.run AND r.project = :project"
            ),
            {"project": project, "at": datetime.now(UTC) + timedelta(hours=hours)},
        )


async def test_listings_are_in_their_order_however_long_the_pages(
    store: PostgresStore, project: str
) -> None:
    chance = random.Random(7)
    keys = [(await store.save_run(NewRun(project, run_id))).run.key for run_id in ("a", "b")]
    for key in keys:
        await store.append_events(key, [Event("x"), Event("x")])
    found = []
    for hours, ids in ((1, "bcd"), (2, "a")):
        await at_one_time(store, project, hours=hours)
        for key, namespace, id_ in chance.sample(names := [*product(keys, "mn", ids)], len(names)):
            seq = chance.randint(1, 2)
            await store.put_snapshot(key, Snapshot(namespace, id_, seq=seq))
            found.append((hours, key.run_id, id_, namespace, seq))

    async def listed(query: SnapshotQuery, limit: int) -> list[tuple[str, str, str, int]]:
        items: list[StoredSnapshot] = []
        after = None
        while not items or after:
            page = await store.list_snapshots(query, limit=limit, after=after)
            items += page.items
            after = page.next_after
        return [
            (each.run_id, named.snapshot_id, named.namespace, named.seq)
            for each in items
            for named in [each.snapshot]
        ]

    by_age = [each[1:] for each in sorted(found, reverse=True)]
    by_seq = sorted(by_age, key=lambda each: (each[3], each), reverse=True)
    for limit in (1, 5, 100):
        assert await listed(SnapshotQuery(project), limit) == by_age
        for key in keys:
            own = [each for each in by_seq if each[0] == key.run_id]
            assert await listed(SnapshotQuery(project, key.run_id), limit) == own


async def test_parts_are_listed_where_they_are_asked_for(store: PostgresStore, key: RunKey) -> None:
    await store.put_snapshot(key, Snapshot(state={"a": Payload("1")}))

    bare = await store.list_snapshots(SnapshotQuery(key.project), limit=1, after=None)
    full = await store.list_snapshots(
        SnapshotQuery(key.project, with_parts=True), limit=1, after=None
    )

    assert bare.items[0].snapshot.state == {}
    assert full.items[0].snapshot.state == {"a": Payload("1")}


async def test_ids_below_one_are_listed_in_every_namespace(
    store: PostgresStore, key: RunKey
) -> None:
    for namespace, id_ in (("", "Z"), ("", "a"), ("n", "a"), ("n", "é"), ("", "b")):
        await store.put_snapshot(key, Snapshot(namespace, id_), events=[Event("step")])

    found = await store.list_snapshots(
        SnapshotQuery(key.project, key.run_id, id_below="b"), limit=10, after=None
    )

    ids = [(each.snapshot.namespace, each.snapshot.snapshot_id) for each in found.items]
    assert ids == [("n", "a"), ("", "a"), ("", "Z")]


async def test_task_writes_are_listed_where_they_are_asked_for(
    store: PostgresStore, key: RunKey
) -> None:
    other = (await store.save_run(NewRun(key.project, "other"))).run.key
    for run, namespace in ((key, ""), (key, "n"), (other, "")):
        await store.put_snapshot(run, Snapshot(namespace, "s"), events=[Event("step")])
        write = TaskWrite(f"{run.run_id}/{namespace}", 0, "s", payload=Payload("1"))
        await store.put_task_writes(run, namespace, [write])
    await store.put_snapshot(other, Snapshot(snapshot_id="t"), events=[Event("step")])

    async def listed(**more: str | bool) -> list[list[str]]:
        query = SnapshotQuery(key.project, **more)  # type: ignore[arg-type]  # names and values
        page = await store.list_snapshots(query, limit=10, after=None)
        return [[write.task_id for write in each.task_writes] for each in page.items]

    assert await listed(with_task_writes=True) == [[], ["other/"], ["run/n"], ["run/"]]
    assert await listed(run_id="run", with_task_writes=True) == [["run/n"], ["run/"]]
    assert await listed(run_id="run") == [[], []]


async def test_a_page_with_task_writes_ends_early_when_they_are_large(
    store: PostgresStore, key: RunKey
) -> None:
    large = Payload(f'"{"x" * (3 << 20)}"')
    for id_ in ("a", "b"):
        write = TaskWrite("t", 0, payload=large)
        await store.put_snapshot(
            key, Snapshot(snapshot_id=id_), events=[Event("step")], task_writes=[write]
        )
    query = SnapshotQuery(key.project, key.run_id, with_task_writes=True)

    first = await store.list_snapshots(query, limit=10, after=None)
    second = await store.list_snapshots(query, limit=10, after=first.next_after)

    assert [each.snapshot.snapshot_id for each in first.items] == ["b"]
    assert [each.snapshot.snapshot_id for each in second.items] == ["a"]
    assert second.items[0].task_writes[0].payload == large
    assert second.next_after is None


@pytest.mark.parametrize(
    ("one", "other", "are_equal"),
    [
        ("1", "1.0", True),
        ("10", "1e1", True),
        ("0.10", "1E-1", True),
        ("-0", "0", True),
        ("1", "-1", False),
        ("1", '"1"', False),
        ('{"a":1,"b":2}', '{"b":2.0,"a":1}', True),
        ("[1,2]", "[2,1]", False),
        ("true", "1", False),
        ("null", '""', False),
        ("1e400", "10e399", True),
        ("12345678901234567890", "12345678901234567891", False),
    ],
)
def test_metadata_is_equal_by_value(one: str, other: str, are_equal: bool) -> None:
    terms = [metadata_terms(Payload(f'{{"k": {value}}}')) for value in (one, other)]

    assert (terms[0] == terms[1]) is are_equal


def test_large_metadata_is_equal_to_the_same_text_only() -> None:
    texts = [f'{{"k":[{"1," * MAX_CHARACTERS}{last}]}}' for last in ("1", "1", "1.0")]
    one, same, other = (metadata_terms(Payload(text)) for text in texts)

    assert (one == same, one == other, len(one)) == (True, False, 1)


async def test_task_writes_are_kept_once_and_returned_in_order(
    store: PostgresStore, key: RunKey
) -> None:
    await store.put_snapshot(key, Snapshot(snapshot_id="s"))
    writes = [
        TaskWrite("b", 0, "s", "out", Payload("1")),
        TaskWrite("a", 1, "s", "out", Payload(b"2")),
        TaskWrite("a", 0, "s"),
    ]

    assert await store.put_task_writes(key, "", writes) is False
    assert await store.put_task_writes(key, "", writes) is True

    found = await store.get_snapshot(key, "", LATEST)
    assert list(found.task_writes) == [writes[2], writes[1], writes[0]]


async def test_a_result_is_never_overwritten_but_an_interrupt_is(
    store: PostgresStore, key: RunKey
) -> None:
    await store.put_task_writes(key, "", [TaskWrite("t", 0, payload=Payload("1"))])
    await store.put_task_writes(key, "", [TaskWrite("t", -1, payload=Payload("1"))])

    with pytest.raises(IdempotencyMismatch):
        await store.put_task_writes(
            key, "", [TaskWrite("t", -1, payload=Payload("2")), TaskWrite("t", 0)]
        )
    await store.put_task_writes(key, "", [TaskWrite("t", -1, payload=Payload("3"))])

    resumed = await store.resume_run(key, namespace="", request_id="", actor="", limit=1)
    assert [write.payload for write in resumed.task_writes] == [Payload("3"), Payload("1")]


async def test_of_results_that_are_put_at_once_one_stays(store: PostgresStore, key: RunKey) -> None:
    await store.put_snapshot(key, Snapshot(snapshot_id="s"))
    results = [TaskWrite("t", 0, "s", payload=Payload(str(number))) for number in range(3)]

    async with locked(store, key):
        putting = [
            asyncio.create_task(store.put_task_writes(key, "", [result])) for result in results
        ]
        await queued(store, 3)
    answers = await asyncio.gather(*putting, return_exceptions=True)

    stays = answers.index(False)
    assert all(isinstance(each, IdempotencyMismatch) for each in answers if each is not False)
    assert (await store.get_snapshot(key, "", LATEST)).task_writes == (results[stays],)


async def test_task_writes_need_their_snapshot_and_a_live_writer(
    store: PostgresStore, key: RunKey
) -> None:
    with pytest.raises(SnapshotNotFound):
        await store.put_task_writes(key, "", [TaskWrite("t", 0, "nowhere")])
    await store.put_task_writes(key, "", [TaskWrite("t", 0)])
    await store.resume_run(key, namespace="", request_id="", actor="", limit=1)

    with pytest.raises(WriterFenced):
        await store.put_task_writes(key, "", [TaskWrite("t", 1)], writer_epoch=1)

    assert await store.put_task_writes(key, "", [TaskWrite("t", 0)], writer_epoch=1)
    assert await count(store, "task_writes", key) == 1


async def test_a_completed_run_takes_no_task_writes_but_knows_those_it_has(
    store: PostgresStore, key: RunKey
) -> None:
    await store.put_task_writes(key, "", [TaskWrite("t", 0)])
    await store.complete_run(key, Completion(Outcome.SUCCEEDED))

    with pytest.raises(RunCompleted):
        await store.put_task_writes(key, "", [TaskWrite("t", 0), TaskWrite("t", 1)])

    assert await store.put_task_writes(key, "", [TaskWrite("t", 0)])
    assert await count(store, "task_writes", key) == 1
