"""Waiting: writes for their checkpoint, threads and tasks for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import runstore
from clients.langgraph.checkpoints import NewSaver, config_of, put, stored
from clients.langgraph.graphs import echo, thread
from e2e.servers import ServerProcess
from runstore.langgraph import RunstoreSaver, ThreadTakenOver, sessions
from runstore.langgraph.turns import Turns


def test_writes_that_wait_for_their_checkpoint_are_stored_with_it(
    saver: RunstoreSaver, new_saver: NewSaver, served: ServerProcess, project: str
) -> None:
    first = put(new_saver(), {"a": 1})
    stored(saver, config_of())
    coming = config_of(checkpoint_id="z")
    saver.put_writes(coming, [("c", "one"), ("c", "two")], "task")
    saver.put_writes(coming, [("c", "late")], "task")
    with runstore.Client(served.target, project=project) as client:
        client.run("thread").append("person.noted")
    stored(saver, config_of())
    assert saver.get_tuple(coming) is None

    put(saver, {"a": 2}, first, checkpoint_id="z")

    saver.put_writes(coming, [("c", "three")], "another")
    assert stored(saver, coming).pending_writes == [
        ("another", "c", "three"),
        ("task", "c", "one"),
        ("task", "c", "two"),
    ]


def test_writes_for_a_checkpoint_that_another_saver_put_do_not_wait(new_saver: NewSaver) -> None:
    mine, other = new_saver(), new_saver()
    first = put(mine, {"a": 1})
    stored(other, config_of())
    theirs = put(other, {"a": 2}, first, checkpoint_id="z")

    with pytest.raises(ThreadTakenOver):
        mine.put_writes(theirs, [("c", 1)], "task")

    assert not mine._halves._memory.sessions.find("thread").held  # type: ignore[union-attr]
    stored(mine, config_of())
    mine.put_writes(theirs, [("c", 2)], "task")
    assert stored(other, theirs).pending_writes == [("task", "c", 2)]


def test_writes_wait_no_longer_once_another_saver_has_claimed_the_thread(
    new_saver: NewSaver,
) -> None:
    mine, other = new_saver(), new_saver()
    first = put(mine, {"a": 1})
    never = config_of(checkpoint_id="y")
    mine.put_writes(never, [("c", 1)], "task")
    stored(other, config_of())
    put(other, {"a": 2}, first, checkpoint_id="z")

    stored(mine, config_of())

    with pytest.raises(ThreadTakenOver, match="another writer has claimed the thread"):
        mine.put_writes(never, [("c", 2)], "another")
    assert not mine._halves._memory.sessions.find("thread").held  # type: ignore[union-attr]


def test_writes_of_a_stored_checkpoint_are_stored_at_once(
    saver: RunstoreSaver, new_saver: NewSaver
) -> None:
    first = put(new_saver(), {"a": 1})
    assert saver.get_tuple(config_of(namespace="sub:1")) is None

    saver.put_writes(first, [("c", 1)], "task")

    assert stored(new_saver(), first).pending_writes == [("task", "c", 1)]


def test_more_writes_than_can_wait_are_refused(
    saver: RunstoreSaver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "MAX_HELD_WRITES", 3)
    saver.get_tuple(config_of())

    with pytest.raises(ValueError, match="more than 3 writes wait"):
        saver.put_writes(config_of(checkpoint_id="z"), [("c", n) for n in range(4)], "task")


async def test_many_tasks_and_threads_may_use_one_saver(
    new_saver: Callable[..., RunstoreSaver], served: ServerProcess, project: str
) -> None:
    async with RunstoreSaver(served.target, project=project) as saver:
        graph = echo(saver)

        said = await asyncio.gather(
            *(graph.ainvoke({"words": ["a"]}, thread(str(number))) for number in range(20)),
            *(
                asyncio.to_thread(graph.invoke, {"words": ["s"]}, thread(str(number)))
                for number in range(20, 40)
            ),
        )

        assert [each["words"] for each in said] == [["a", "echo"]] * 20 + [["s", "echo"]] * 20
        assert not saver._halves._memory.turns._waiting


async def test_a_synchronous_call_that_would_block_its_own_loop_is_refused(
    saver: RunstoreSaver,
) -> None:
    put(saver, {"a": 1})
    turns = saver._halves._memory.turns

    async with turns.of("thread"):
        with pytest.raises(RuntimeError, match="await the asynchronous method"):
            saver.get_tuple(config_of())
    assert stored(saver, config_of())
    assert not turns._waiting


async def test_a_cancelled_waiter_leaves_the_line(saver: RunstoreSaver) -> None:
    turns = saver._halves._memory.turns
    order: list[str] = []

    async def take(name: str) -> None:
        async with turns.of("thread"):
            order.append(name)

    async with turns.of("thread"):
        waiting = [asyncio.create_task(take(name)) for name in "abc"]
        in_thread = asyncio.create_task(asyncio.to_thread(_take, turns, order))
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.sleep(0)

    await asyncio.wait([*waiting, in_thread])
    assert [each for each in order if each != "thread"] == ["a", "c"]
    assert "thread" in order
    assert not turns._waiting


def _take(turns: Turns, order: list[str]) -> None:
    with turns.of("thread"):
        order.append("thread")
