"""Writes that are decided on what a process remembers of a run, or on what it read, without a lock:
stored only if nothing has changed since.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace

import pytest
from runstore_storage import remembered_runs
from runstore_storage.contract.errors import SeqConflict, SnapshotNotFound, UnknownRef, WriterFenced
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.heads import Guard, Outcome, RunKey, RunStatus
from runstore_storage.contract.payloads import Payload, Ref
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.scope import own
from runstore_storage.contract.snapshots import (
    PutSnapshotResult,
    Snapshot,
    SnapshotSelector,
    TaskWrite,
)
from runstore_storage.database import engine
from runstore_storage.database.connection import Connection, Rows
from runstore_storage.database.statements import NO_VALUES, Statement, system
from runstore_storage.postgres import PostgresStore
from runstore_storage.remembered_runs import RememberedRuns
from runstore_storage.run_write import RunWrite
from runstore_storage.snapshots.numbers import BlobNumbers
from runstore_storage.sql.blobs import BlobRef
from runstore_storage.sql.heads import Head
from runstore_storage.sql.inserts import Version
from runstore_storage.sql.known import Asked, Known
from storage.contract.waiting import queued

OPEN = SnapshotSelector()
is_of_test: ContextVar[bool] = ContextVar("is_of_test", default=False)


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    """A run that the store remembers: its last write was the snapshot `first`."""
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await store.put_snapshot(key, step("first"), events=[Event("step", event_id="e")])
    return key


async def problem(store: PostgresStore, key: RunKey) -> str:
    """What is wrong with the run's chain."""
    return (await store.verify_run(key, from_seq=1, max_events=0)).problem


def step(id_: str, **state: str) -> Snapshot:
    """A snapshot with the part `a` that all of them have, and others."""
    parts = {name: Payload(text) for name, text in {"a": '"same"', **state}.items()}
    return Snapshot(snapshot_id=id_, state=parts)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that were sent, but for numbers, and "BEGIN" where a transaction began.

    Those of the store's own tasks are not among them: `is_of_test` is set by the test, in its own.
    """
    found: list[str] = []
    plain, begin = Connection.execute, engine.Database.begin

    async def execute(
        self: Connection, given: Statement, values: Mapping[str, object] = NO_VALUES
    ) -> Rows:
        if is_of_test.get() and "nextval" not in given.sql:
            found.append(given.sql)
        return await plain(self, given, values)

    def begun(self: engine.Database, **how: object) -> object:
        if is_of_test.get():
            found.append("BEGIN")
        return begin(self, **how)  # type: ignore[arg-type]  # as it is given

    monkeypatch.setattr(Connection, "execute", execute)
    monkeypatch.setattr(engine.Database, "begin", begun)
    return found


@contextmanager
def one_statement(sent: list[str]) -> Iterator[None]:
    sent.clear()
    is_of_test.set(True)
    yield
    assert len(sent) == 1
    assert sent[0].startswith("WITH changed")


async def test_a_step_after_another_is_one_statement(
    store: PostgresStore, key: RunKey, sent: list[str]
) -> None:
    writes = [TaskWrite("task", 0, payload=Payload("1"))]

    for seq in (2, 3):
        with one_statement(sent):
            answer = await store.put_snapshot(
                key, step(f"{seq}", b="1"), events=[Event("step")], task_writes=writes
            )
        assert (answer.seq, answer.last_seq, answer.deduplicated) == (seq, seq, False)

    found = await store.get_snapshot(key, "", OPEN)
    assert dict(found.snapshot.snapshot.state) == dict(step("", b="1").state)
    assert [write.task_id for write in found.task_writes] == ["task"]
    assert not await problem(store, key)


async def test_task_writes_after_their_snapshot_are_one_statement(
    store: PostgresStore, key: RunKey, sent: list[str]
) -> None:
    for number in range(2):
        with one_statement(sent):
            known = await store.put_task_writes(
                key, "", [TaskWrite("task", number, "first", payload=Payload("1"))]
            )
        assert not known

    assert len((await store.get_snapshot(key, "", OPEN)).task_writes) == 2


async def test_time_passes_between_steps(
    store: PostgresStore, key: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (await store.get_snapshot(key, "", OPEN)).snapshot.created_at
    an_hour_later = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600)

    with monkeypatch.context() as later:
        later.setattr(remembered_runs, "time", an_hour_later)
        second = (await store.put_snapshot(key, step("second"))).created_at
    third = (await store.put_snapshot(key, step("third"))).created_at  # the right time is known

    assert timedelta(hours=1) <= second - first < timedelta(hours=2)
    assert timedelta(0) <= third - second < timedelta(hours=1)


async def test_a_step_after_another_process_wrote_comes_after_its(
    store: PostgresStore, other: PostgresStore, key: RunKey
) -> None:
    await other.append_events(key, [Event("theirs")])

    with pytest.raises(SeqConflict):
        await store.put_snapshot(key, step("stale"), guard=Guard(expected_seq=1))
    answer = await store.put_snapshot(key, step("second"), events=[Event("ours")])

    assert answer.seq == 3
    assert not await problem(store, key)


async def test_a_repeated_step_is_answered_before_it_is_refused(
    store: PostgresStore, other: PostgresStore, key: RunKey
) -> None:
    async def put(id_: str, guard: Guard) -> PutSnapshotResult:
        return await store.put_snapshot(
            key, step(id_), events=[Event("step", event_id=id_)], guard=guard
        )

    guard = Guard(writer_epoch=1, expected_seq=1)
    first = await put("second", guard)
    repeated = await put("second", guard)
    await put("third", Guard(writer_epoch=1))
    await other.resume_run(key, namespace="", request_id="claim", actor="other", limit=1)
    again = await put("second", guard)
    with pytest.raises(WriterFenced):
        await put("fourth", Guard(writer_epoch=1))

    assert again == repeated == replace(first, deduplicated=True)


async def test_a_known_event_is_not_recorded_again(store: PostgresStore, key: RunKey) -> None:
    answer = await store.put_snapshot(key, step("second"), events=[Event("step", event_id="e")])

    assert answer.last_seq == 1


async def test_a_stored_result_stays_and_an_interrupt_is_replaced(
    store: PostgresStore, key: RunKey
) -> None:
    async def put(index: int, text: str) -> bool:
        write = TaskWrite("task", index, "first", payload=Payload(text))
        return await store.put_task_writes(key, "", [write])

    assert not await put(0, "1")
    assert await put(0, "1")
    assert not await put(-1, "1")
    assert not await put(-1, "2")

    found = (await store.get_snapshot(key, "", OPEN)).task_writes
    assert [(each.index, each.payload) for each in found] == [(-1, Payload("2")), (0, Payload("1"))]


async def test_a_part_that_came_before_is_stored_once(
    store: PostgresStore, other: PostgresStore, key: RunKey
) -> None:
    await other.put_snapshot(key, step("theirs", b="[1]"))
    await store.put_snapshot(key, step("second", c="2"))

    await store.put_snapshot(key, step("third", b="[1]"))

    async with store._engine.connect() as conn:
        found = await conn.execute(
            system("SELECT count(*) FROM blobs JOIN runs USING (run) WHERE project = :project"),
            {"project": key.project},
        )
    assert found.scalar_one() == 3
    assert (await store.get_snapshot(key, "", OPEN)).snapshot.snapshot.state["b"] == Payload("[1]")


async def test_a_part_that_another_process_deleted_is_not_referred_to(
    store: PostgresStore, other: PostgresStore, key: RunKey
) -> None:
    await store.put_snapshot(key, step("second", b="1"))
    await other.delete_snapshots(key, "", ["second"])

    with pytest.raises(UnknownRef):
        await store.put_snapshot(key, Snapshot(state={"b": Ref(sha256(b"1").digest())}))


async def test_writes_of_one_run_that_come_together_are_one_statement_each(
    store: PostgresStore, key: RunKey, sent: list[str]
) -> None:
    writes = [TaskWrite("task", 0, "first", payload=Payload("1"))]
    sent.clear()
    is_of_test.set(True)

    await asyncio.gather(
        store.put_task_writes(key, "", writes),
        store.put_snapshot(key, step("second", b="1"), events=[Event("step")]),
    )

    assert [each.startswith("WITH changed") for each in sent] == [True, True]


@pytest.mark.parametrize("is_remembered", [True, False])
async def test_a_step_that_waits_for_another_writer_is_decided_after_it(
    store: PostgresStore, other: PostgresStore, key: RunKey, *, is_remembered: bool
) -> None:
    putter = store if is_remembered else other
    later = datetime.now(UTC) + timedelta(days=1)

    async with store._engine.begin() as conn:
        await conn.execute(
            system(
                "UPDATE run_heads SET updated_at = :later WHERE run ="
                " (SELECT run FROM runs WHERE project = :project)"
            ),
            {"project": key.project, "later": later},
        )
        putting = asyncio.create_task(
            putter.put_snapshot(key, step("second", b="1"), events=[Event("step")])
        )
        await queued(store, 1)
    answer = await putting

    assert answer.created_at == later
    assert not await problem(store, key)


async def test_steps_are_stored_where_the_role_may_take_no_numbers(
    store: PostgresStore, key: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def none(self: BlobNumbers, conn: Connection, count: int) -> tuple[int, ...]:
        return ()

    monkeypatch.setattr(BlobNumbers, "take", none)

    for number in range(2):
        await store.put_snapshot(key, step(f"step-{number}", b=str(number)))

    assert (await store.get_snapshot(key, "", OPEN)).snapshot.snapshot.state["b"] == Payload("1")


def test_the_runs_and_parts_that_were_used_last_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remembered_runs, "MAX_RUNS", 2)
    monkeypatch.setattr(remembered_runs, "MAX_PARTS", 6)
    monkeypatch.setattr(remembered_runs, "MAX_PARTS_OF_RUN", 3)
    remembered, now = RememberedRuns(), datetime.now(UTC)
    nothing = Known(None, False, {}, (), ())

    def add(name: str, *parts: bytes) -> None:
        head = Head(1, 0, b"", RunStatus.RUNNING, Outcome.UNSPECIFIED, 1, Usage(), now, None)
        write = RunWrite(own(RunKey("project", name)), head, now)
        write.stored = Version(7, now)
        write.parts = {each: BlobRef(1, True, "") for each in parts}
        remembered.add(write, nothing)

    def knows(name: str, *hashes: bytes) -> bool:
        return remembered.take(own(RunKey("project", name)), Asked(hashes=hashes)) is not None

    add("a", b"1")
    add("b", b"1")
    add("c", b"1")
    assert [knows(each) for each in "abc"] == [False, True, True]
    add("d", b"1", b"2", b"3", b"4")
    assert not knows("d", b"1")
    add("d", b"1", b"2", b"3", b"4")
    assert knows("d", b"2", b"4")
    for fits, found in ((6, [True, True]), (5, [False, True])):
        monkeypatch.setattr(remembered_runs, "MAX_PARTS", fits)
        for name in "eeff":
            add(name, b"1", b"2", b"3")
        assert [knows(each, b"1", b"2", b"3") for each in "ef"] == found


async def test_a_version_that_was_given_again_is_not_taken_for_the_same(
    store: PostgresStore, key: RunKey
) -> None:
    remembered = store.put_snapshot.__wrapped__.__self__._decisions._remembered._runs  # type: ignore[attr-defined]
    # As after a failover that lost the write that is remembered, and then stored another one.
    lost = remembered[own(key)].head._replace(last_hash=b"lost".ljust(32))
    remembered[own(key)] = replace(remembered[own(key)], head=lost)

    await store.put_snapshot(key, step("second"))

    assert not await problem(store, key)


async def test_what_other_runs_and_namespaces_have_is_not_known(
    store: PostgresStore, other: PostgresStore, key: RunKey
) -> None:
    theirs = (await store.save_run(NewRun(key.project, "theirs"))).run.key
    write = TaskWrite("task", 0, "s", payload=Payload("1"))
    for run, namespace in ((theirs, ""), (key, "n")):
        await store.put_snapshot(
            run, Snapshot(namespace, "s", state={"b": Payload("1")}), request_id=run.run_id
        )
        await store.put_task_writes(run, namespace, [write])
    await store.delete_snapshots(key, "n", ["s"])

    with pytest.raises(SnapshotNotFound):
        await other.put_task_writes(key, "", [write])
    with pytest.raises(UnknownRef):
        await other.put_snapshot(key, Snapshot(state={"b": Ref(sha256(b"1").digest())}))
    answer = await other.put_snapshot(key, step("s", b="1"), request_id="theirs")
    is_known = await other.put_task_writes(key, "", [write])

    assert (answer.deduplicated, is_known) == (False, False)
    assert (await store.get_snapshot(key, "", OPEN)).snapshot.snapshot.state["b"] == Payload("1")
