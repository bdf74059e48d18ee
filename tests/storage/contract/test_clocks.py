"""The times of a run never step back, also where the database's clock does.

A clock that stepped back is one that is behind what it has written: a run that was written to at a
time to come.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.runs import NewFork, NewRun
from runstore_storage.contract.snapshots import Snapshot, SnapshotReason
from runstore_storage.database.statements import statement
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
    async with store._engine.begin() as conn:
        await conn.execute(
            statement(
                "UPDATE run_heads SET updated_at = :p1"
                " WHERE run = (SELECT run FROM runs WHERE project = :p2)"
            ),
            {"p1": AHEAD, "p2": project},
        )
    return await append(store, key)


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


async def test_a_snapshot_is_no_earlier_than_the_events_before_it(
    store: PostgresStore, key: RunKey
) -> None:
    fork = (await store.fork_run(NewFork(key))).run.key

    puts = [await store.put_snapshot(each, Snapshot()) for each in (key, fork)]

    assert all(put.created_at >= AHEAD for put in puts)
