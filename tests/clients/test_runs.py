"""Runs: saved, listed, resumed, completed, verified."""

import pytest
import runstore


async def test_a_resume_fences_the_earlier_writer(client: runstore.AsyncClient) -> None:
    first = await client.save_run()
    await first.append("a")
    resumed = await client.resume(first.run_id, actor="second")
    await resumed.run.append("b")

    with pytest.raises(runstore.WriterFenced) as caught:
        await first.append("c")

    assert caught.value.current_epoch == 2
    assert [event.type async for event in resumed.events()] == ["a", "run.resumed"]


async def test_a_resume_with_an_expected_seq_leaves_a_run_that_was_written_to(
    client: runstore.AsyncClient,
) -> None:
    run = await client.save_run()
    seen = (await run.append("a")).seq
    await run.append("b")

    with pytest.raises(runstore.SeqConflict) as caught:
        await client.resume(run.run_id, expected_seq=seen)

    assert caught.value.current_seq == 2
    await run.append("c")  # the writer was not fenced
    resumed = await client.resume(run.run_id, expected_seq=3)
    assert resumed.run.writer_epoch == 2


async def test_saving_a_resumed_run_again_does_not_take_the_writers_epoch(
    client: runstore.AsyncClient,
) -> None:
    first = await client.save_run("o", run_id="run")
    await client.resume("run")

    again = await client.save_run("o", run_id="run")

    assert first.writer_epoch == again.writer_epoch == 1
    with pytest.raises(runstore.WriterFenced):
        await again.append("late")


async def test_a_finished_run_is_saved_in_one_call(client: runstore.AsyncClient) -> None:
    completion = runstore.Completion(
        runstore.Outcome.FAILED,
        {"error": "none"},
        {"schema_hash": "h", "statistics": {"steps": 1}},
        [runstore.NewEvent("tried")],
        {"state": {"x": 1}},
    )

    run = await client.save_run("o", completion=completion)

    assert [event.type async for event in run.events()] == ["tried", "run.completed"]
    assert (await run.get()).outcome is runstore.Outcome.FAILED
    output = await run.output()
    assert (output.schema_hash, output.payload.value()) == ("h", {"error": "none"})
    assert (await run.get_snapshot()).reason is runstore.SnapshotReason.FINAL


async def test_a_completion_that_lost_a_race_is_refused(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    await run.append("a")

    with pytest.raises(runstore.SeqConflict) as caught:
        await run.complete(expected_seq=0)

    assert (caught.value.expected_seq, caught.value.current_seq) == (0, 1)


async def test_a_run_is_verified_in_slices_with_progress(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    await run.append_many([runstore.NewEvent("tick") for _ in range(5)])
    progress: list[int] = []

    found = await run.verify(lambda so_far: progress.append(so_far.checked_events), slice_size=2)

    assert found.verified
    assert progress == [2, 4, 5]


async def test_runs_are_listed_over_pages(client: runstore.AsyncClient) -> None:
    for number in range(3):
        await client.save_run(run_id=f"r{number}", tags=["even"] if number % 2 == 0 else [])

    query = runstore.RunQuery(tags=["even"], oldest_first=True)
    assert [run.run_id async for run in client.list_runs(query)] == ["r0", "r2"]


async def test_runs_are_listed_by_every_filter_and_order(client: runstore.AsyncClient) -> None:
    ref = runstore.ExternalRef("jira", "X-1")
    first = await client.save_run("red fox", run_id="r0", tags=["a"], external_ref=ref)
    await client.save_run("blue", run_id="r1", tags=["b"], parent_run_id="r0")
    await first.complete()
    done = (await first.get()).completed_at
    assert done
    order = runstore.RunOrder
    wanted: list[tuple[runstore.RunQuery, list[str]]] = [
        (runstore.RunQuery(any_tags=["a", "b"]), ["r1", "r0"]),
        (runstore.RunQuery(root_run_id="r0", order=order.CREATED_ASC), ["r0", "r1"]),
        (runstore.RunQuery(external=runstore.ExternalFilter("jira", "X-1")), ["r0"]),
        (runstore.RunQuery(objective="fox"), ["r0"]),
        (runstore.RunQuery(completed_from=done), ["r0"]),
        (runstore.RunQuery(completed_before=done), []),
        (runstore.RunQuery(updated_from=done), ["r0"]),
        (runstore.RunQuery(updated_before=done), ["r1"]),
        (runstore.RunQuery(order=order.UPDATED_DESC), ["r0", "r1"]),
        (runstore.RunQuery(order=order.UPDATED_ASC), ["r1", "r0"]),
        (runstore.RunQuery(order=order.COMPLETED_DESC), ["r0"]),
    ]

    for query, found in wanted:
        assert [run.run_id async for run in client.list_runs(query)] == found, query
