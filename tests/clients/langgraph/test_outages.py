"""A server that stays away: the saver waits for it once, not at each step."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from clients.langgraph.checkpoints import config_of, put, stored
from clients.langgraph.graphs import chain, say, thread
from e2e.servers import ServerProcess
from field.switch import TcpSwitch
from ports import reserved_port
from runstore import DeadlineExceeded, RunstoreError, Unavailable
from runstore.langgraph import RunstoreSaver, ThreadTakenOver

OUTAGE = (Unavailable, DeadlineExceeded)


class Path:
    """The way to a server, which can be lost and found again."""

    def __init__(self, served: ServerProcess, switch: TcpSwitch) -> None:
        self._served = served
        self._switch = switch
        self.target = f"127.0.0.1:{switch.port}"
        self.failed: list[RunstoreError] = []

    def lose(self, half: Any) -> None:
        """Let the calls of a saver's half fail from now on, after half a second, and note them."""
        self._switch.point_to(reserved_port())
        self._switch.cut()
        connection = half.threads._connection
        connection.timeout = 0.5
        send = connection.send

        def noted(call: Any) -> Any:
            try:
                return send(call)
            except RunstoreError as error:
                self.failed.append(error)
                raise

        async def anoted(call: Any) -> Any:
            try:
                return await send(call)
            except RunstoreError as error:
                self.failed.append(error)
                raise

        connection.send = anoted if asyncio.iscoroutinefunction(send) else noted

    def find(self, half: Any) -> None:
        half.threads._connection.timeout = 60
        self._switch.point_to(self._served.port)


@pytest.fixture
def path(served: ServerProcess) -> Iterator[Path]:
    with TcpSwitch(served.port) as switch:
        yield Path(served, switch)


def test_after_a_write_failed_in_an_outage_the_next_ones_fail_at_once(
    path: Path, project: str
) -> None:
    with RunstoreSaver(path.target, project=project) as saver:
        first = put(saver, {"a": 1})
        half = saver._halves.sync()
        path.lose(half)
        lost, later = (config_of(checkpoint_id=each) for each in ("x", "y"))
        with pytest.raises(OUTAGE):
            put(saver, {"a": 2}, first, checkpoint_id="x")
        assert len(path.failed) == 1

        for write in (
            lambda: put(saver, {"a": 3}, lost, checkpoint_id="y"),
            lambda: saver.put_writes(lost, [("c", 1)], "task"),
            lambda: saver.put_writes(later, [("c", 1)], "task"),
            lambda: saver.put_writes(first, [("c", 1)], "task"),
        ):
            with pytest.raises(OUTAGE, match=r"an earlier write failed.*(UNAVAIL|DEADLINE)"):
                write()

        assert len(path.failed) == 1, "none of them was sent"
        path.find(half)
        assert stored(saver, config_of()).config == first
        put(saver, {"a": 2}, first)
        assert stored(saver, config_of()).checkpoint["channel_values"] == {"a": 2}


def test_after_task_writes_failed_in_an_outage_the_next_writes_fail_at_once(
    path: Path, project: str
) -> None:
    with RunstoreSaver(path.target, project=project) as saver:
        first = put(saver, {"a": 1})
        path.lose(saver._halves.sync())
        with pytest.raises(OUTAGE):
            saver.put_writes(first, [("c", 1)], "task")

        with pytest.raises(OUTAGE, match="an earlier write failed"):
            saver.put_writes(first, [("c", 1)], "another")
        with pytest.raises(OUTAGE, match="an earlier write failed"):
            put(saver, {"a": 2}, first)

        assert len(path.failed) == 1


def test_a_put_that_failed_in_an_outage_may_be_repeated(path: Path, project: str) -> None:
    with RunstoreSaver(path.target, project=project) as saver:
        first = put(saver, {"a": 1})
        half = saver._halves.sync()
        path.lose(half)
        with pytest.raises(OUTAGE):
            put(saver, {"a": 2}, first, checkpoint_id="x")
        path.find(half)

        again = put(saver, {"a": 2}, first, checkpoint_id="x")
        put(saver, {"a": 3}, again)

        assert stored(saver, config_of()).checkpoint["channel_values"] == {"a": 3}


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_graph_waits_for_a_lost_server_once(how: str, path: Path, project: str) -> None:
    def steps(half: Any) -> list[Any]:
        return [say("one", lambda: path.lose(half)), *map(say, ["two", "three", "four", "five"])]

    async def arun() -> None:
        async with RunstoreSaver(path.target, project=project, timeout=60) as saver:
            graph = chain(saver, *steps(saver._halves.aio()))
            await graph.ainvoke({"words": []}, thread(), durability="async")

    def run() -> None:
        with RunstoreSaver(path.target, project=project, timeout=60) as saver:
            graph = chain(saver, *steps(saver._halves.sync()))
            graph.invoke({"words": []}, thread(), durability="async")

    with pytest.raises(RunstoreError):
        asyncio.run(arun()) if how == "async" else run()

    # The write of a task and the put of its checkpoint may be under way at the same time.
    assert len(path.failed) <= 2


def test_what_follows_a_checkpoint_that_failed_says_why(saver: RunstoreSaver) -> None:
    first = put(saver, {"a": 1})
    with pytest.raises(RunstoreError, match="accepts at most"):
        put(saver, {"a": "x" * (17 << 20)}, first, checkpoint_id="x")

    with pytest.raises(ThreadTakenOver, match=r"follows x: putting it failed.*accepts at most"):
        put(saver, {"a": 2}, config_of(checkpoint_id="x"), checkpoint_id="y")
