"""Store.save_run, get_run, list_runs and resume_run keep what their docstrings say."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from runstore_storage.contract.configs import ConfigRef
from runstore_storage.contract.errors import (
    IdempotencyMismatch,
    RunCompleted,
    RunNotFound,
    SeqConflict,
)
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import Outcome, RunKey, RunStatus
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import (
    ExternalRef,
    NewFork,
    NewRun,
    ResumedRun,
    RunFilter,
    RunOrder,
)
from runstore_storage.contract.snapshots import Snapshot, TaskWrite
from runstore_storage.postgres import PostgresStore


async def resume(
    store: PostgresStore, key: RunKey, request_id: str = "", expected_seq: int | None = None
) -> ResumedRun:
    return await store.resume_run(
        key,
        namespace="",
        request_id=request_id,
        actor="second",
        limit=100,
        expected_seq=expected_seq,
    )


async def test_a_run_comes_back_with_every_field(store: PostgresStore, project: str) -> None:
    await store.save_run(NewRun(project, "parent"))
    new = NewRun(
        project,
        "child",
        plan_id="plan",
        objective="reach the end",
        plan=Payload('{"z": 1, "a": [1.0]}'),
        parent_run_id="parent",
        external_ref=ExternalRef("jira", "X-1", "http://localhost/X-1"),
        config_refs=(ConfigRef("prompt", "greeting", 3, "sha256:00"),),
        tags=("a", "b"),
        labels={"team": "search"},
        subjects=("user-7", "user-8"),
    )

    await store.save_run(new)

    run = await store.get_run(RunKey(project, "child"))
    assert run.born == replace(new, salt=run.born.salt)
    assert (run.status, run.last_seq, run.writer_epoch) == (RunStatus.RUNNING, 0, 1)


async def test_a_run_without_an_id_is_given_one(store: PostgresStore, project: str) -> None:
    saved = [await store.save_run(NewRun(project)) for _ in range(2)]
    forked = [await store.fork_run(NewFork(saved[0].run.key)) for _ in range(2)]

    ids = [each.run.key.run_id for each in (*saved, *forked)]
    assert all(ids)
    assert len(set(ids)) == 4


async def test_the_same_run_again_is_the_same_run(store: PostgresStore, project: str) -> None:
    new = NewRun(project, "run", objective="x", labels={"b": "1", "a": "2"})
    first = await store.save_run(new)

    again = await store.save_run(new)

    assert (first.deduplicated, again.deduplicated) == (False, True)
    assert again.run == first.run


async def test_the_same_id_with_other_content_is_a_mismatch(
    store: PostgresStore, project: str
) -> None:
    await store.save_run(NewRun(project, "run", objective="x"))

    with pytest.raises(IdempotencyMismatch):
        await store.save_run(NewRun(project, "run", objective="y"))


async def test_the_same_id_in_two_projects_is_two_runs(store: PostgresStore, project: str) -> None:
    await store.save_run(NewRun(project, "run"))
    await store.save_run(NewRun(project + "/other", "run"))

    await store.append_events(RunKey(project, "run"), [Event("a")])

    assert (await store.get_run(RunKey(project + "/other", "run"))).last_seq == 0


async def test_an_unknown_parent_is_not_found(store: PostgresStore, project: str) -> None:
    with pytest.raises(RunNotFound):
        await store.save_run(NewRun(project, "run", parent_run_id="nobody"))
    with pytest.raises(RunNotFound):
        await store.get_run(RunKey(project, "run"))


async def test_a_finished_run_is_stored_in_one_call(store: PostgresStore, project: str) -> None:
    completion = Completion(
        Outcome.SUCCEEDED,
        events=(Event("step"),),
        output=Output(payload=Payload('{"answer": 42}')),
        final_snapshot=Snapshot(state={"a": Payload("1")}),
    )

    saved = await store.save_run(NewRun(project, "run", completion=completion))

    assert (saved.run.status, saved.run.last_seq) == (RunStatus.SUCCEEDED, 2)
    output = await store.get_output(saved.run.key, 0)
    assert output.output.payload == Payload('{"answer": 42}')
    assert (await store.save_run(NewRun(project, "run", completion=completion))).deduplicated


async def test_lists_are_filtered_ordered_and_paged(store: PostgresStore, project: str) -> None:
    for number in range(7):
        await store.save_run(
            NewRun(
                project,
                f"run{number}",
                plan_id="even" if number % 2 == 0 else "odd",
                tags=("all", f"n{number}"),
                labels={"number": str(number)},
                parent_run_id="run0" if number else "",
            )
        )
    await store.append_events(RunKey(project, "run3"), [Event("call", model="m", tool="t")])
    await store.complete_run(RunKey(project, "run4"), Completion(Outcome.FAILED))
    third = (await store.get_run(RunKey(project, "run3"))).created_at

    async def ids(where: RunFilter, order: RunOrder = RunOrder.CREATED_DESC) -> list[str]:
        found, after = [], None
        while True:
            page = await store.list_runs(project, where, order, limit=2, after=after)
            found += [run.born.run_id for run in page.items]
            after = page.next_after
            if after is None:
                return found

    assert await ids(RunFilter()) == [f"run{n}" for n in reversed(range(7))]
    assert await ids(RunFilter(), RunOrder.CREATED_ASC) == [f"run{n}" for n in range(7)]
    assert await ids(RunFilter(tags=("all", "n5"))) == ["run5"]
    assert await ids(RunFilter(labels={"number": "2"})) == ["run2"]
    assert await ids(RunFilter(plan_id="odd")) == ["run5", "run3", "run1"]
    assert await ids(RunFilter(statuses=(RunStatus.FAILED,))) == ["run4"]
    assert await ids(RunFilter(model="m")) == ["run3"]
    assert await ids(RunFilter(tool="t", model="other")) == []
    assert await ids(RunFilter(parent_run_id="run0", created_before=third)) == ["run2", "run1"]
    assert await ids(RunFilter(created_from=third + timedelta(microseconds=1))) == [
        "run6",
        "run5",
        "run4",
    ]


async def test_an_offset_skips_runs(store: PostgresStore, project: str) -> None:
    for number in range(5):
        await store.save_run(NewRun(project, f"run{number}"))

    async def ids(order: RunOrder, **where: int | None) -> list[str]:
        page = await store.list_runs(project, RunFilter(), order, **{"after": None, **where})
        return [run.born.run_id for run in page.items]

    page = await store.list_runs(
        project, RunFilter(), RunOrder.CREATED_DESC, limit=2, after=None, offset=1
    )
    assert [run.born.run_id for run in page.items] == ["run3", "run2"]
    assert await ids(RunOrder.CREATED_DESC, limit=9, after=page.next_after) == ["run1", "run0"]
    assert await ids(RunOrder.CREATED_ASC, limit=2, offset=3) == ["run3", "run4"]
    assert await ids(RunOrder.CREATED_ASC, limit=2, offset=5) == []


async def test_a_resume_claims_the_next_epoch_and_returns_what_the_writer_needs(
    store: PostgresStore, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await store.append_events(key, [Event("a")])
    await store.put_snapshot(
        key,
        Snapshot(snapshot_id="s", state={"x": Payload("1")}, pending_node_ids=("n",)),
        task_writes=[TaskWrite("task", 0, payload=Payload("2"))],
    )
    await store.append_events(key, [Event("b")])

    resumed = await resume(store, key)

    assert resumed.writer_epoch == resumed.run.writer_epoch == 2
    assert resumed.snapshot is not None
    assert resumed.snapshot.snapshot.state == {"x": Payload("1")}
    assert resumed.snapshot.snapshot.pending_node_ids == ("n",)
    assert [write.task_id for write in resumed.task_writes] == ["task"]
    assert [event.event.type for event in resumed.events.events] == ["b", "run.resumed"]


async def test_a_repeated_resume_returns_its_epoch_after_others_came(
    store: PostgresStore, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await resume(store, key, "r1")
    await resume(store, key, "r2")

    again = await resume(store, key, "r1")

    assert (again.writer_epoch, again.run.writer_epoch, again.deduplicated) == (2, 3, True)
    assert again.run.last_seq == 2


async def test_a_run_that_another_wrote_to_since_is_not_claimed(
    store: PostgresStore, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await store.append_events(key, [Event("a"), Event("b")])

    for seen in (0, 1, 3):
        with pytest.raises(SeqConflict) as refused:
            await resume(store, key, "r1", expected_seq=seen)
        assert refused.value.details["current_seq"] == "2"

    run = await store.get_run(key)
    assert (run.last_seq, run.writer_epoch) == (2, 1)
    assert (await resume(store, key, "r1", expected_seq=2)).writer_epoch == 2


async def test_a_repeated_resume_is_known_before_its_expected_seq_is_judged(
    store: PostgresStore, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await resume(store, key, "r1", expected_seq=0)
    await store.append_events(key, [Event("a")])

    again = await resume(store, key, "r1", expected_seq=0)

    assert (again.writer_epoch, again.run.last_seq, again.deduplicated) == (2, 2, True)


async def test_of_racing_resumes_that_saw_the_same_seq_one_claims(
    store: PostgresStore, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    claims = await asyncio.gather(
        *(resume(store, key, f"r{n}", expected_seq=0) for n in range(8)), return_exceptions=True
    )

    assert sorted(type(each).__name__ for each in claims) == ["ResumedRun"] + ["SeqConflict"] * 7
    assert (await store.get_run(key)).writer_epoch == 2


async def test_a_completed_run_is_not_resumed(store: PostgresStore, project: str) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await store.complete_run(key, Completion(Outcome.CANCELLED))

    with pytest.raises(RunCompleted):
        await resume(store, key)


async def test_a_run_whose_status_another_engine_owns_stays_external(
    store: PostgresStore, project: str
) -> None:
    owner = ExternalRef("temporal", "wf-1", owns_status=True)
    key = (await store.save_run(NewRun(project, "run", external_ref=owner))).run.key

    await resume(store, key)
    done = await store.complete_run(
        key, Completion(Outcome.UNSPECIFIED, output=Output(payload=Payload("1")))
    )

    assert done.status is RunStatus.EXTERNAL
    run = await store.get_run(key)
    assert (run.status, run.outcome) == (RunStatus.EXTERNAL, Outcome.UNSPECIFIED)
    assert run.completed_at is not None
