"""Snapshots, their parts and their deletion."""

from hashlib import sha256

import pytest
import runstore


async def test_a_snapshot_comes_back_with_its_parts(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    big = runstore.payload_of({"text": "x" * 1000})
    await run.snapshot(state={"big": big, "none": None})

    await run.snapshot(
        state={"big": runstore.Ref(big.sha256)},
        nodes=[runstore.PlanNode("n", "tool", ["f"], "pending", input_schema={"type": "object"})],
        pending_node_ids=["n"],
        plan_version_id="v2",
        metadata={"step": 2},
        events=[runstore.NewEvent("step")],
        task_writes=[runstore.TaskWrite("t", 0, {"done": True})],
    )

    found = await run.get_snapshot(plan_version_id="v2")
    assert found.state == {"big": big}
    assert found.nodes[0].input_schema.value() == {"type": "object"}
    assert [write.payload.value() for write in found.task_writes] == [{"done": True}]
    assert found.seq == 1
    listed = [each async for each in run.list_snapshots(metadata={"step": 2.0})]
    assert [each.snapshot_id for each in listed] == [found.snapshot_id]
    assert big.sha256 == sha256(big.data).digest()


async def test_a_snapshot_put_again_under_its_id_is_deduplicated(
    client: runstore.AsyncClient,
) -> None:
    run = await client.save_run()
    first = await run.snapshot(snapshot_id="s", state={"memory": [1]})

    again = await run.snapshot(snapshot_id="s", state={"memory": [1]})

    assert again.deduplicated
    assert again.content_hash == first.content_hash
    with pytest.raises(runstore.IdempotencyMismatch):
        await run.snapshot(snapshot_id="s", state={"memory": [2]})


async def test_snapshots_that_no_fork_needs_are_deleted(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    await run.append("a")
    for number in range(3):
        await run.snapshot(snapshot_id=f"s{number}", namespace="graph", state={"x": number})
    await run.put_task_writes([runstore.TaskWrite("t", 0, 1, snapshot_id="s1")], namespace="graph")
    fork = await run.fork()
    await run.snapshot(snapshot_id="s3", namespace="graph", state={"x": "new"})

    with pytest.raises(runstore.SnapshotInUse) as caught:
        await run.delete_snapshots(["s1", "s3"], namespace="graph")
    assert caught.value.fork_run_id == fork.run_id
    assert caught.value.metadata["snapshot_id"] == "s1"

    deleted = await run.delete_snapshots(["s3", "none"], namespace="graph")
    again = await run.delete_snapshots(["s3", "none"], namespace="graph")

    assert (deleted.snapshots, deleted.task_writes, deleted.freed_bytes > 0) == (1, 0, True)
    assert again == runstore.SnapshotsDeleted(0, 0, 0)
    left = [each.snapshot_id async for each in run.list_snapshots(namespace="graph")]
    assert left == ["s2", "s1", "s0"]
    await client.resume(run.run_id)
    with pytest.raises(runstore.WriterFenced):
        await run.delete_snapshots(["s0"], namespace="graph")
