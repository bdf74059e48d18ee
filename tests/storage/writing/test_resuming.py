"""A resume reads what its writer needs and claims the run in three round trips."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
from runstore_storage.contract.events import EVERY_EVENT, Event
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewFork, NewRun, ResumedRun
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.contract.snapshots import Snapshot, SnapshotSelector, TaskWrite
from runstore_storage.database.connection import Connection, Rows
from runstore_storage.database.engine import Database
from runstore_storage.database.statements import NO_VALUES, Statement, system
from runstore_storage.postgres import PostgresStore
from runstore_storage.sql import states
from storage.plans import rows_read

Act = Callable[[], Awaitable[object]]

# Set while the test resumes; its writes run in tasks of their own.
is_resuming: ContextVar[bool] = ContextVar("is_resuming", default=False)


class Statements:
    """The statements of a resume, and what is done before one of them."""

    def __init__(self) -> None:
        self.sent = 0
        self.before: dict[int, Act] = {}

    async def sending(self) -> None:
        if not is_resuming.get():
            return
        number, self.sent = self.sent, self.sent + 1
        if act := self.before.pop(number, None):
            token = is_resuming.set(False)
            await act()
            is_resuming.reset(token)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    """A transaction's begin counts as a statement, too."""
    found = Statements()
    execute, begin = Connection.execute, Database.begin

    async def observed(
        self: Connection, given: Statement, values: Mapping[str, object] = NO_VALUES
    ) -> Rows:
        await found.sending()
        return await execute(self, given, values)

    def begun(self: Database, **how: Any) -> AbstractAsyncContextManager[Connection]:
        found.sent += is_resuming.get()
        return begin(self, **how)

    monkeypatch.setattr(Connection, "execute", observed)
    monkeypatch.setattr(Database, "begin", begun)
    return found


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    """A run with events before and after a snapshot, task writes, and a fork of it, "fork"."""
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await store.append_events(key, [Event("a"), Event("b")])
    await put(store, key, "s1")
    await store.append_events(key, [Event("c")])
    await store.fork_run(NewFork(key, 3, "fork"))
    return key


async def put(store: PostgresStore, key: RunKey, id_: str) -> None:
    snapshot = Snapshot(snapshot_id=id_, state={"x": Payload(f'"{id_}"')})
    write = TaskWrite("task", 0, payload=Payload("2"))
    await store.put_snapshot(key, snapshot, task_writes=[write])


async def resume(
    store: PostgresStore, key: RunKey, request_id: str = "", *, limit: int = 100
) -> ResumedRun:
    token = is_resuming.set(True)
    try:
        return await store.resume_run(
            key, namespace="", request_id=request_id, actor="", limit=limit
        )
    finally:
        is_resuming.reset(token)


def seqs(resumed: ResumedRun) -> list[int]:
    return [each.seq for each in resumed.events.events]


async def prove_whole(store: PostgresStore, key: RunKey, resumed: ResumedRun) -> None:
    """What was returned is what reading each part by itself returns."""
    found = await store.get_snapshot(key, "", SnapshotSelector())
    first = found.snapshot.snapshot.seq + 1
    assert resumed.run == await store.get_run(key)
    assert (resumed.snapshot, resumed.task_writes) == (found.snapshot, found.task_writes)
    assert resumed.events == await store.read_events(key, first, limit=100, where=EVERY_EVENT)


@pytest.mark.parametrize("request_id", ["", "r"])
@pytest.mark.parametrize("run_id", ["run", "fork"])
async def test_a_resume_takes_three_round_trips(
    store: PostgresStore, key: RunKey, statements: Statements, run_id: str, request_id: str
) -> None:
    key = key._replace(run_id=run_id)

    resumed = await resume(store, key, request_id)

    assert statements.sent == 3
    await prove_whole(store, key, resumed)


async def test_a_repeated_resume_only_reads(
    store: PostgresStore, key: RunKey, statements: Statements
) -> None:
    first = await resume(store, key, "r")
    statements.sent = 0

    again = await resume(store, key, "r")

    assert statements.sent == 2
    assert again == replace(first, deduplicated=True)


@pytest.mark.parametrize("number", [1, 2])
async def test_a_run_that_changes_before_the_claim_is_read_again(
    store: PostgresStore, key: RunKey, statements: Statements, number: int
) -> None:
    async def write() -> None:
        await store.append_events(key, [Event("d")])
        await put(store, key, "s2")
        await store.append_events(key, [Event("e")])

    statements.before[number] = write

    resumed = await resume(store, key)

    assert [each.event.type for each in resumed.events.events] == ["e", "run.resumed"]
    assert resumed.snapshot
    assert resumed.snapshot.snapshot.state == {"x": Payload('"s2"')}
    assert resumed.writer_epoch == 2
    await prove_whole(store, key, resumed)


async def test_of_two_that_resume_at_once_the_second_has_the_next_epoch(
    store: PostgresStore, key: RunKey, statements: Statements
) -> None:
    others: list[ResumedRun] = []

    async def overtake() -> None:
        others.append(
            await store.resume_run(key, namespace="", request_id="other", actor="", limit=100)
        )

    statements.before[2] = overtake

    mine = await resume(store, key, "mine")

    assert [others[0].writer_epoch, mine.writer_epoch] == [2, 3]
    assert [seqs(others[0]), seqs(mine)] == [[3, 4], [3, 4, 5]]
    await prove_whole(store, key, mine)


@pytest.mark.parametrize(
    ("limit", "found", "next_from_seq"), [(1, [3], 4), (2, [3, 4], 5), (3, [3, 4, 5], 6)]
)
async def test_a_page_holds_the_claim_if_there_is_room(
    store: PostgresStore, key: RunKey, limit: int, found: list[int], next_from_seq: int
) -> None:
    await store.append_events(key, [Event("d")])

    resumed = await resume(store, key, limit=limit)

    assert seqs(resumed) == found
    assert (resumed.events.next_from_seq, resumed.events.last_seq) == (next_from_seq, 5)


async def test_a_run_without_a_snapshot_is_resumed_from_its_beginning(
    store: PostgresStore, project: str, statements: Statements
) -> None:
    key = (await store.save_run(NewRun(project, "bare"))).run.key
    await store.append_events(key, [Event("a")])
    statements.sent = 0

    resumed = await resume(store, key)

    assert statements.sent == 2
    assert (resumed.snapshot, resumed.task_writes, seqs(resumed)) == (None, (), [1, 2])


async def test_a_resume_reads_no_other_runs_task_writes(
    store: PostgresStore, key: RunKey, project: str
) -> None:
    # So many that reading all of them is never the cheapest plan.
    writes = [TaskWrite(f"task{n}", 0, payload=Payload("2")) for n in range(1000)]
    for number in range(10):
        other = (await store.save_run(NewRun(project, f"run{number}"))).run.key
        await store.put_snapshot(other, Snapshot(snapshot_id="s1"), task_writes=writes)

    asked = {"project": key.project, "run_id": key.run_id, "namespace": "", "at_seq": None}
    asked |= {"request_id": "", "limit": 100, "max_bytes": 1 << 20}
    async with store._engine.connect() as conn:
        await conn.execute(system("ANALYZE"))
        with bound(Scope(project)):
            read = await rows_read(conn, states._READ, asked, of="task_writes")

    assert read < 100
