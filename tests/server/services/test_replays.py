"""ReplayRun and ForkRun over the wire, and what people make of them on the command line."""

from __future__ import annotations

import asyncio
import json

import pytest
import runstore
from e2e.test_cli import cli
from runstore import ConfigRef, NewEvent, Payload, PlanNode, TaskWrite


@pytest.fixture
async def run(client: runstore.AsyncClient) -> runstore.AsyncRun:
    """A run with events 1..3, a snapshot at 2, and a task done since."""
    await client.configs.register("prompt", "greet", Payload('"hi"'))
    made = await client.save_run(
        "the goal", run_id="run", config_refs=[ConfigRef("prompt", "greet", 1, "")]
    )
    await made.append_many([NewEvent("a"), NewEvent("b")])
    nodes = [PlanNode("n1", "tool", status="done"), PlanNode("n2", "tool", status="todo")]
    await made.snapshot(snapshot_id="s1", nodes=nodes, state={"x": Payload("1.0")})
    await made.put_task_writes([TaskWrite("t", 0, Payload("true"), snapshot_id="s1")])
    await made.append("c")
    return made


async def test_a_replay_brings_state_events_and_configs(run: runstore.AsyncRun) -> None:
    now, then = await run.replay(), await run.replay(1)

    assert now.snapshot is not None
    assert now.snapshot.state == {"x": Payload("1.0")}
    assert [each.task_id for each in now.task_writes] == ["t"]
    assert [event.type for event in now.events] == ["c"]
    assert [(each.ref.version, each.body) for each in now.configs] == [(1, Payload('"hi"'))]
    assert (then.snapshot, [event.type for event in then.events]) == (None, ["a"])
    assert (then.at_seq, then.next_from_seq, now.at_seq) == (1, 0, 3)


async def test_a_long_tail_is_paged_up_to_the_seq(run: runstore.AsyncRun) -> None:
    await run.append_many([NewEvent("d")] * 10)

    first = await run.replay(9, page_size=4)

    assert [event.seq for event in first.events] == [3, 4, 5, 6]
    assert first.next_from_seq == 7


async def test_a_fork_is_written_streamed_and_verified_as_one_history(
    client: runstore.AsyncClient, run: runstore.AsyncRun
) -> None:
    fork = await run.fork(2, objective="what if", run_id="fork", tags=["trial"])
    await fork.append("x")
    await fork.complete()

    info = await fork.get()
    streamed = [event async for event in fork.events(follow=True)]
    assert [(event.seq, event.type) for event in streamed] == [
        *((1, "a"), (2, "b"), (3, "x")),
        (4, "run.completed"),
    ]
    assert (info.objective, info.fork_base) == ("what if", runstore.ForkBase("run", 2))
    assert (await fork.verify()).verified
    assert (await fork.get_snapshot()).snapshot_id == "s1"
    assert (await run.get()).last_seq == 3
    with pytest.raises(runstore.SeqAhead):
        await run.fork(9)
    with pytest.raises(runstore.SeqAhead):
        await run.replay(9)


async def test_what_was_is_shown_compared_and_forked_by_command(
    run: runstore.AsyncRun, server_address: str, project: str
) -> None:
    where = ("--target", server_address, "--project", project)

    async def runs(*arguments: str, code: int = 0) -> str:
        return await asyncio.to_thread(cli, "runs", *arguments, *where, code=code)

    await run.snapshot(
        snapshot_id="s2",
        nodes=[PlanNode("n1", "tool", status="done"), PlanNode("n2", "tool", status="done")],
        state={"y": Payload("2")},
    )

    shown = await runs("replay", "run", "--at", "2")
    as_json = json.loads(await runs("replay", "run", "--json"))
    differing = await runs("diff", "run@2", "run", "--json", code=1)
    by_id = await runs("diff", "run#s1", "run#s2", code=1)
    same = await runs("diff", "run@2", "run#s1")
    fork = (await runs("fork", "run", "--at", "2", "--name", "f")).strip()

    assert "snapshot s1 at seq 2" in shown
    assert "done since: t/0" in shown
    assert as_json["snapshot"]["state"]["y"]["json"] == 2
    assert list(map(json.loads, differing.splitlines())) == [
        {"what": "node", "name": "n2", "how": "changed", "fields": ["status"]},
        {"what": "state", "name": "x", "how": "removed", "fields": []},
        {"what": "state", "name": "y", "how": "added", "fields": []},
    ]
    assert "changed" in by_id
    assert "no difference" in same
    assert fork == "f"
    assert json.loads(await runs("show", "f", "--json"))["fork_base"] == {"run_id": "run", "seq": 2}
