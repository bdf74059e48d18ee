"""Store.complete_run and get_output keep what their docstrings say."""

import asyncio

import pytest
from runstore_storage.contract.errors import (
    OutcomeConflict,
    OutcomeRequired,
    OutputNotFound,
    RunCompleted,
    SeqConflict,
    UnknownRef,
    WriterFenced,
)
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.heads import Guard, Outcome, RunKey, RunStatus
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload, Ref
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.snapshots import Snapshot, SnapshotSelector
from runstore_storage.postgres import PostgresStore


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    return (await store.save_run(NewRun(project, "run"))).run.key


def result(text: str, outcome: Outcome = Outcome.SUCCEEDED) -> Completion:
    return Completion(outcome, output=Output(payload=Payload(text)))


async def test_a_completion_writes_events_output_snapshot_status_and_terminal_event(
    store: PostgresStore, key: RunKey
) -> None:
    output = Output(
        payload=Payload('{"b": 1.0}'),
        schema_hash="sha256:1",
        plan_version_id="v1",
        provenance=Payload('{"facet": "a"}'),
        statistics=Payload("{}"),
    )
    completion = Completion(
        Outcome.SUCCEEDED,
        events=(Event("last", usage=Usage(1, 2, 0, 3, 4)),),
        output=output,
        final_snapshot=Snapshot(snapshot_id="end", state={"a": Payload("1")}),
    )

    done = await store.complete_run(key, completion)

    types = [e.event.type for e in (await store.read_events(key, 1, limit=9)).events]
    stored = await store.get_output(key, 0)
    run = await store.get_run(key)
    final = await store.get_snapshot(key, "", SnapshotSelector())
    assert types == ["last", "run.completed"]
    assert (done.seq, done.revision, done.status) == (2, 1, RunStatus.SUCCEEDED)
    assert stored.output == output
    assert stored.usage == run.usage == Usage(1, 2, 0, 3, 4)
    assert final.snapshot.snapshot.seq == 2
    assert run.completed_at == stored.completed_at == done.completed_at


async def test_nothing_is_written_when_a_part_of_the_completion_is_refused(
    store: PostgresStore, key: RunKey
) -> None:
    with pytest.raises(UnknownRef):
        await store.complete_run(
            key,
            Completion(
                Outcome.SUCCEEDED,
                events=(Event("last"),),
                final_snapshot=Snapshot(state={"a": Ref(b"x" * 32)}),
            ),
        )

    run = await store.get_run(key)
    assert (run.status, run.last_seq) == (RunStatus.RUNNING, 0)
    with pytest.raises(OutputNotFound):
        await store.get_output(key, 0)


async def test_the_same_completion_again_changes_nothing(store: PostgresStore, key: RunKey) -> None:
    first = await store.complete_run(key, result("1"))

    again = await store.complete_run(key, result("1"))

    assert again.deduplicated
    assert (again.revision, again.seq, again.completed_at) == (1, 1, first.completed_at)


async def test_another_output_is_a_new_revision_and_the_old_one_stays(
    store: PostgresStore, key: RunKey
) -> None:
    await store.complete_run(key, result("1"))

    second = await store.complete_run(key, result("2"))
    delayed = await store.complete_run(key, result("1"))

    outputs = [(await store.get_output(key, n)).output.payload for n in (0, 1, 2)]
    assert outputs == [Payload("2"), Payload("1"), Payload("2")]
    assert (second.revision, second.seq, delayed.revision) == (2, 1, 1)
    assert (await store.get_run(key)).last_seq == 1


async def test_another_outcome_is_a_conflict(store: PostgresStore, key: RunKey) -> None:
    await store.complete_run(key, result("1"))

    with pytest.raises(OutcomeConflict):
        await store.complete_run(key, result("1", Outcome.FAILED))


async def test_a_revision_brings_no_events_and_no_snapshot(
    store: PostgresStore, key: RunKey
) -> None:
    await store.put_snapshot(key, Snapshot(snapshot_id="latest"), events=[Event("step")])
    final = Snapshot(snapshot_id="end", seq=1, state={"a": Payload("1")})
    known = (Event("last", event_id="e"),)
    await store.complete_run(key, Completion(Outcome.FAILED, events=known, final_snapshot=final))

    with pytest.raises(RunCompleted):
        await store.complete_run(key, Completion(Outcome.FAILED, events=(Event("more"),)))
    with pytest.raises(RunCompleted):
        await store.complete_run(key, Completion(Outcome.FAILED, final_snapshot=Snapshot()))
    revised = await store.complete_run(
        key,
        Completion(
            Outcome.FAILED, events=known, final_snapshot=final, output=Output(schema_hash="x")
        ),
    )

    assert revised.revision == 2


async def test_an_outcome_is_required_unless_another_engine_owns_the_status(
    store: PostgresStore, key: RunKey
) -> None:
    with pytest.raises(OutcomeRequired):
        await store.complete_run(key, Completion(Outcome.UNSPECIFIED))


async def test_a_completion_is_guarded(store: PostgresStore, key: RunKey) -> None:
    with pytest.raises(SeqConflict):
        await store.complete_run(key, result("1"), Guard(expected_seq=5))
    await store.resume_run(key, namespace="", request_id="", actor="", limit=1)
    with pytest.raises(WriterFenced):
        await store.complete_run(key, result("1"), Guard(writer_epoch=1))


async def test_runs_completed_at_once_keep_their_own_outputs(
    store: PostgresStore, project: str
) -> None:
    keys = [(await store.save_run(NewRun(project, f"run{n}"))).run.key for n in range(20)]

    await asyncio.gather(
        *(store.complete_run(key, result(f'"{key.run_id}"')) for key in reversed(keys))
    )

    for key in keys:
        assert (await store.get_output(key, 0)).output.payload == Payload(f'"{key.run_id}"')
