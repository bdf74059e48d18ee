"""The times of a run never step back, also where the database's clock does.

A clock that stepped back is one that is behind what it has written: a run that was written to at a
time to come.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewFork, NewRun
from runstore_storage.contract.snapshots import (
    Snapshot,
    SnapshotReason,
    SnapshotSelector,
    TaskWrite,
)
from runstore_storage.contract.times import MICROSECOND
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore

AHEAD = datetime(2999, 1, 1, tzinfo=UTC)


async def append(store: PostgresStore, key: RunKey) -> RunKey:
    """The first one is decided under locks, the next one on the head that the first one left."""
    await store.append_events(key, [Event("tick")])
    return key


async def put_snapshot(store: PostgresStore, key: RunKey) -> RunKey:
    await store.put_snapshot(key, Snapshot(reason=SnapshotReason.PAUSE), events=[Event("step")])
    return key


async def resume(store: PostgresStore, key: RunKey) -> RunKey:
    await store.resume_run(key, namespace="", request_id="", actor="", limit=1)
    return key


async def complete(store: PostgresStore, key: RunKey) -> RunKey:
    await store.complete_run(key, Completion(Outcome.SUCCEEDED, events=(Event("last"),)))
    return key


async def append_to_a_fork(store: PostgresStore, key: RunKey) -> RunKey:
    return await append(store, (await store.fork_run(NewFork(key))).run.key)


async def append_to_a_fork_of_a_fork(store: PostgresStore, key: RunKey) -> RunKey:
    return await append_to_a_fork(store, (await store.fork_run(NewFork(key))).run.key)


WRITES: list[Callable[[PostgresStore, RunKey], Awaitable[RunKey]]] = [
    append,
    put_snapshot,
    resume,
    complete,
    append_to_a_fork,
    append_to_a_fork_of_a_fork,
]


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    """A run with an event of a time to come."""
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await set_ahead(store, key)
    return await append(store, key)


async def set_ahead(store: PostgresStore, key: RunKey) -> None:
    """Have the run written to at a time to come."""
    update = """
        UPDATE run_heads h SET updated_at = :at FROM runs r
        WHERE r.run = h.run AND r.project = :project AND r.run_id = :run_id
    """
    async with store._engine.begin() as conn:
        await conn.execute(
            system(update), {"at": AHEAD, "project": key.project, "run_id": key.run_id}
        )


@pytest.mark.parametrize("write", WRITES)
async def test_no_event_is_earlier_than_the_one_before_it(
    store: PostgresStore, key: RunKey, write: Callable[[PostgresStore, RunKey], Awaitable[RunKey]]
) -> None:
    written = await write(store, key)

    events = (await store.read_events(written, 1, limit=100)).events
    times = [each.recorded_at for each in events]
    assert len(times) >= 2
    assert times == sorted(times)
    assert times[0] == AHEAD
    assert not (await store.verify_run(written, from_seq=1, max_events=0)).problem


@pytest.mark.parametrize("write", WRITES)
async def test_a_run_is_updated_and_completed_no_earlier_than_its_last_event(
    store: PostgresStore, key: RunKey, write: Callable[[PostgresStore, RunKey], Awaitable[RunKey]]
) -> None:
    written = await write(store, key)

    run = await store.get_run(written)
    assert run.updated_at >= AHEAD
    assert (run.completed_at or run.updated_at) >= AHEAD


@pytest.mark.parametrize("together", [True, False])
async def test_a_run_whose_time_is_to_come_takes_no_other_along(
    store: PostgresStore, project: str, together: bool
) -> None:
    keys = [(await store.save_run(NewRun(project, f"run{n}"))).run.key for n in range(8)]
    for key in keys:
        await append(store, key)
    ahead = (await store.save_run(NewRun(project, "ahead"))).run.key
    await set_ahead(store, ahead)

    if together:
        await asyncio.gather(*(append(store, key) for key in (ahead, *keys)))
    else:
        await append(store, ahead)
    for key in keys:  # in every lane
        await append(store, key)

    last = [(await store.get_run(key)).updated_at for key in keys]
    assert max(last) < AHEAD
    assert (await store.get_run(ahead)).updated_at == AHEAD


async def test_a_snapshot_is_no_earlier_than_the_events_before_it(
    store: PostgresStore, key: RunKey
) -> None:
    fork = (await store.fork_run(NewFork(key))).run.key

    puts = [await store.put_snapshot(each, Snapshot()) for each in (key, fork)]

    assert all(put.created_at >= AHEAD for put in puts)


async def test_a_fork_sees_nothing_that_its_base_gets_at_the_same_time(
    store: PostgresStore, key: RunKey
) -> None:
    await store.put_snapshot(key, Snapshot(snapshot_id="before"))
    fork = (await store.fork_run(NewFork(key))).run.key

    await store.put_task_writes(key, "", [TaskWrite("task", 0, "before", "c", Payload("1"))])
    await store.put_snapshot(key, Snapshot(snapshot_id="later"))

    seen = await store.get_snapshot(fork, "", SnapshotSelector())
    assert (seen.snapshot.snapshot.snapshot_id, seen.task_writes) == ("before", ())


async def put_a_snapshot(store: PostgresStore, key: RunKey) -> datetime:
    return (await store.put_snapshot(key, Snapshot())).created_at


async def put_a_task_write(store: PostgresStore, key: RunKey) -> datetime:
    at = (await store.put_snapshot(key, Snapshot(snapshot_id="one"))).created_at
    await store.put_task_writes(key, "", [TaskWrite("task", 0, "one", "c", Payload("1"))])
    return at + MICROSECOND


async def revise_the_output(store: PostgresStore, key: RunKey) -> datetime:
    await store.complete_run(key, Completion(Outcome.FAILED))
    again = Completion(Outcome.FAILED, output=Output(Payload("2")))
    return (await store.complete_run(key, again)).completed_at


@pytest.mark.parametrize("write", [put_a_snapshot, put_a_task_write, revise_the_output])
async def test_a_write_without_an_event_updates_its_run(
    store: PostgresStore,
    project: str,
    write: Callable[[PostgresStore, RunKey], Awaitable[datetime]],
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key

    at = await write(store, key)

    assert (await store.get_run(key)).updated_at >= at
