"""Appends decided on remembered heads: stored only if nothing has changed since."""

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace

import pytest
from runstore_storage.contract.errors import (
    IdempotencyMismatch,
    RunCompleted,
    SeqConflict,
    StorageUnavailable,
    WriterFenced,
)
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.heads import NO_GUARD, Guard, Outcome, RunKey
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewFork, NewRun
from runstore_storage.contract.snapshots import Snapshot
from runstore_storage.database.opening import connect
from runstore_storage.postgres import PostgresStore
from runstore_storage.writing import optimistic
from runstore_storage.writing.lanes import Append
from runstore_storage.writing.optimistic import Optimistic


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    """A run whose head the store remembers, after the event with the id `first`."""
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await append(store, key, "first")
    return key


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each batch, how many appends were stored in one round trip."""
    found: list[int] = []
    plain = Optimistic.append

    async def counted(self: Optimistic, batch: Sequence[Append]) -> object:
        stored = await plain(self, batch)
        found.append(len(stored.results))
        return stored

    monkeypatch.setattr(Optimistic, "append", counted)
    return found


async def append(store: PostgresStore, key: RunKey, event_id: str, guard: Guard = NO_GUARD) -> int:
    (appended,) = await store.append_events(key, [Event("tick", event_id=event_id)], guard)
    return appended.seq


async def ids(store: PostgresStore, key: RunKey) -> list[str]:
    page = await store.read_events(key, 1, limit=100)
    assert [each.seq for each in page.events] == list(range(1, len(page.events) + 1))
    assert not (await store.verify_run(key, from_seq=1, max_events=0)).problem
    return [each.event.event_id for each in page.events]


async def test_every_column_of_an_event_comes_back(
    store: PostgresStore, key: RunKey, taken: list[int]
) -> None:
    full = Event(
        "tool.called",
        event_id="full",
        payload=Payload('{"a": 1.0}', "application/json"),
        node_id="node",
        actor="actor",
        model="model",
        tool="tool",
        tags=('a"b', "c,d", "{}"),
        usage=Usage(1, 2, 3, 4, 5),
        trace_parent="00-trace",
        occurred_at=(await store.get_run(key)).created_at,
    )
    binary = Event("blob", event_id="binary", payload=Payload(b"\0\xff", "image/png"))

    await store.append_events(key, [full, binary])
    await append(store, key, "plain")

    page = await store.read_events(key, 2, limit=10)
    assert [each.event for each in page.events] == [full, binary, Event("tick", event_id="plain")]
    assert (await store.get_run(key)).usage == Usage(1, 2, 3, 4, 5)
    assert taken == [1, 1]
    assert len(await ids(store, key)) == 4


async def test_an_append_follows_what_another_process_appended(
    store: PostgresStore, other: PostgresStore, key: RunKey, taken: list[int]
) -> None:
    assert await append(other, key, "theirs") == 2

    assert await append(store, key, "ours") == 3
    assert await append(store, key, "ours too") == 4

    assert taken == [0, 0, 1]
    assert await ids(store, key) == ["first", "theirs", "ours", "ours too"]


async def test_time_passes_between_appends(
    store: PostgresStore, key: RunKey, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    an_hour_later = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600)

    with monkeypatch.context() as later:
        later.setattr(optimistic, "time", an_hour_later)
        await append(store, key, "second")
    await append(store, key, "third")  # the right time is known again

    events = (await store.read_events(key, 1, limit=9)).events
    times = [each.recorded_at for each in events]
    assert taken == [1, 1]
    assert timedelta(hours=1) <= times[1] - times[0] < timedelta(hours=2)


async def test_an_append_moves_the_time_of_its_run_on_and_never_back(
    store: PostgresStore,
    other: PostgresStore,
    key: RunKey,
    taken: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await append(store, key, "second")
    last = (await store.read_events(key, 2, limit=1)).events[0].recorded_at
    assert (await store.get_run(key)).updated_at == last

    put_at = (await other.put_snapshot(key, Snapshot())).created_at
    an_hour_ago = SimpleNamespace(monotonic=lambda: time.monotonic() - 3600)
    with monkeypatch.context() as before:
        before.setattr(optimistic, "time", an_hour_ago)
        await append(store, key, "third")

    assert (await store.get_run(key)).updated_at == put_at
    await append(store, key, "fourth")  # the right time is known again
    assert taken == [1, 1, 1]


async def test_a_known_id_returns_the_first_answer(store: PostgresStore, key: RunKey) -> None:
    for _ in range(2):
        (again,) = await store.append_events(key, [Event("tick", event_id="first")])
        assert (again.seq, again.deduplicated) == (1, True)
    with pytest.raises(IdempotencyMismatch):
        await store.append_events(key, [Event("other", event_id="first")])

    both = await asyncio.gather(*(append(store, key, name) for name in ("new", "first", "newer")))

    assert both == [2, 1, 3]
    assert await ids(store, key) == ["first", "new", "newer"]


async def test_a_known_id_is_recognised_before_anything_is_refused(
    store: PostgresStore, other: PostgresStore, key: RunKey
) -> None:
    await other.resume_run(key, namespace="", request_id="", actor="", limit=10)

    assert await append(store, key, "first", Guard(expected_seq=7, writer_epoch=1)) == 1
    with pytest.raises(WriterFenced):
        await append(store, key, "late", Guard(writer_epoch=1))
    with pytest.raises(SeqConflict) as caught:
        await append(store, key, "lost", Guard(expected_seq=1))

    assert caught.value.details["current_seq"] == "2"
    assert (await ids(store, key))[::2] == ["first"]


async def test_a_fenced_writer_that_remembers_the_old_epoch_is_refused(
    store: PostgresStore, other: PostgresStore, key: RunKey, taken: list[int]
) -> None:
    await append(store, key, "mine", Guard(writer_epoch=1))
    await other.resume_run(key, namespace="", request_id="", actor="", limit=10)

    with pytest.raises(WriterFenced):
        await append(store, key, "late", Guard(writer_epoch=1))

    assert taken == [1, 0]
    assert len(await ids(store, key)) == 3


async def test_an_epoch_that_was_claimed_without_an_event_fences_too(
    store: PostgresStore, key: RunKey, database_url: str, db_schema: str
) -> None:
    conn = await connect(database_url, schema=db_schema, name="test")
    await conn.execute(
        "UPDATE run_heads SET writer_epoch = 2 FROM runs r"
        " WHERE r.run = run_heads.run AND r.project = $1",
        key.project,
    )
    await conn.close()

    with pytest.raises(WriterFenced):
        await append(store, key, "late", Guard(writer_epoch=1))


async def test_a_run_that_went_on_otherwise_at_the_seq_that_is_remembered_is_read_again(
    store: PostgresStore, key: RunKey, database_url: str, db_schema: str, taken: list[int]
) -> None:
    # As after a switch to a server that had not received the last event.
    conn = await connect(database_url, schema=db_schema, name="test")
    await conn.execute(
        "UPDATE run_heads SET last_hash = sha256('another') FROM runs r"
        " WHERE r.run = run_heads.run AND r.project = $1",
        key.project,
    )
    await conn.close()

    found = [await append(store, key, event_id) for event_id in ("second", "third")]

    assert found == [2, 3]
    assert taken == [0, 1]


async def test_a_run_that_moved_does_not_fail_the_others_of_its_batch(
    store: PostgresStore, other: PostgresStore, project: str, taken: list[int]
) -> None:
    keys = [(await store.save_run(NewRun(project, f"run{n}"))).run.key for n in range(8)]
    for key in keys:
        await append(store, key, "first")
    await append(other, keys[3], "theirs")
    taken.clear()

    found = await asyncio.gather(*(append(store, key, "second") for key in keys))

    assert found == [2, 2, 2, 3, 2, 2, 2, 2]
    assert sum(taken) == 7


async def test_a_run_that_another_process_completed_refuses_appends(
    store: PostgresStore, other: PostgresStore, key: RunKey
) -> None:
    await other.complete_run(key, Completion(Outcome.SUCCEEDED, output=Output(Payload("1", ""))))

    with pytest.raises(RunCompleted):
        await append(store, key, "late")

    assert len(await ids(store, key)) == 2


async def test_a_refusal_does_not_fail_the_others_of_its_batch(
    store: PostgresStore, key: RunKey, project: str, taken: list[int]
) -> None:
    neighbour = (await store.save_run(NewRun(project, "neighbour"))).run.key
    await append(store, neighbour, "one")

    found = await asyncio.gather(
        append(store, key, "two"),
        append(store, key, "lost", Guard(expected_seq=9)),
        append(store, key, "three"),
        append(store, neighbour, "two"),
        return_exceptions=True,
    )

    assert [found[0], found[2], found[3]] == [2, 3, 2]
    assert isinstance(found[1], SeqConflict)
    assert await ids(store, key) == ["first", "two", "three"]
    assert await ids(store, neighbour) == ["one", "two"]
    assert sum(taken) < 4


async def test_an_event_that_cannot_be_sent_does_not_fail_the_others(
    store: PostgresStore, key: RunKey
) -> None:
    found = await asyncio.gather(
        append(store, key, "good"),
        store.append_events(key, [Event("tick", event_id="\ud800")]),
        return_exceptions=True,
    )

    assert found[0] == 2
    assert isinstance(found[1], Exception)
    assert await append(store, key, "more") == 3
    assert await ids(store, key) == ["first", "good", "more"]


async def test_a_fork_knows_the_ids_of_its_history(store: PostgresStore, key: RunKey) -> None:
    fork = (await store.fork_run(NewFork(key, 1, "fork"))).run.key

    assert await append(store, fork, "own") == 2
    assert await append(store, fork, "first") == 1
    assert await append(store, fork, "own") == 2


async def test_a_closed_connection_is_opened_again(
    store: PostgresStore, key: RunKey, taken: list[int]
) -> None:
    await append(store, key, "before")
    for each in store._appender._remembered:
        if each._conn:
            await each._conn.close()

    assert await append(store, key, "after") == 3

    assert taken == [1, 1]


async def test_a_connection_cut_in_the_middle_is_reported_and_nothing_is_stored_twice(
    store: PostgresStore, key: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    await append(store, key, "before")
    plain = optimistic.appends.append

    async def cut(*given: object) -> object:
        await plain(*given)  # type: ignore[arg-type]  # passed on as they came
        raise ConnectionResetError

    monkeypatch.setattr(optimistic.appends, "append", cut)
    with pytest.raises(StorageUnavailable):
        await append(store, key, "maybe")
    monkeypatch.undo()

    (again,) = await store.append_events(key, [Event("tick", event_id="maybe")])
    assert (again.seq, again.deduplicated) == (3, True)


async def test_after_a_defect_appends_are_decided_under_locks(
    store: PostgresStore, key: RunKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError

    await append(store, key, "before")
    with monkeypatch.context() as patched:
        patched.setattr(optimistic.appends, "append", broken)
        assert await asyncio.wait_for(append(store, key, "meanwhile"), 60) == 3

    assert await append(store, key, "after") == 4
    assert await ids(store, key) == ["first", "before", "meanwhile", "after"]


async def test_a_backend_that_closes_its_connection_makes_the_database_unavailable(
    store: PostgresStore, key: RunKey, database_url: str, db_schema: str
) -> None:
    conn = await connect(database_url, schema=db_schema, name="test")
    for number in range(20):
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'runstore appends' AND pid = ANY ($1)",
            [each.backend for each in store._connections._opened],
        )
        # At once: before the driver has seen the connection close, while it does, or after.
        for _ in range(number % 4):
            await asyncio.sleep(0)
        try:
            await asyncio.wait_for(append(store, key, f"{number}"), 60)
        except StorageUnavailable:
            await asyncio.wait_for(append(store, key, f"{number}"), 60)
    await conn.close()

    assert await ids(store, key) == ["first", *map(str, range(20))]


async def test_few_heads_are_remembered(
    own: PostgresStore, project: str, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimistic, "MAX_REMEMBERED", 2)
    keys = [(await own.save_run(NewRun(project, f"run{n}"))).run.key for n in range(8)]

    for turn in range(1, 4):
        taken.clear()
        keys.reverse()
        assert [await append(own, key, f"{turn}") for key in keys] == [turn] * 8

    # Each of the two lanes remembered the last two heads of the turn before, and no more of them.
    assert 2 <= sum(taken) <= 4
