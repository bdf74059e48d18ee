"""What is short to serialize holds up no step by a way through another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, StateGraph
from runstore.langgraph import RunstoreSaver, efforts
from runstore.langgraph.efforts import Effort


class Watched(JsonPlusSerializer):
    """Notes the threads that serialize."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        self.threads.append(threading.get_ident())
        return super().dumps_typed(obj)


class Counted(TypedDict):
    count: int


async def threads_of_steps(saver: RunstoreSaver, serde: Watched) -> list[bool]:
    """For each value that a graph's steps had serialized, whether the loop's thread did it."""

    async def step(state: Counted) -> Counted:
        return {"count": state["count"] + 1}

    graph = StateGraph(Counted)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    graph.add_conditional_edges("step", lambda state: "step" if state["count"] < 5 else END)
    app = graph.compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": "thread"}}
    assert (await app.ainvoke({"count": 0}, config, durability="sync"))["count"] == 5
    assert (await app.aget_state(config)).values == {"count": 5}
    return [each == threading.get_ident() for each in serde.threads]


async def test_the_first_work_of_a_thread_is_done_beside_the_loop_and_short_work_on_it(
    new_saver: Callable[..., RunstoreSaver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efforts, "SHORT_SECONDS", 60.0)
    serde = Watched()

    on_loop = await threads_of_steps(new_saver(serde=serde), serde)

    assert not on_loop[0]
    assert all(on_loop[len(on_loop) // 2 :])


async def test_long_work_stays_beside_the_loop(
    new_saver: Callable[..., RunstoreSaver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efforts, "SHORT_SECONDS", 0.0)
    serde = Watched()

    assert not any(await threads_of_steps(new_saver(serde=serde), serde))


def test_an_effort_is_as_short_as_the_last_time() -> None:
    effort = Effort()
    before = effort.is_short
    assert effort.of(len, "abc") == 3
    short = effort.seconds

    with pytest.raises(ZeroDivisionError):
        effort.of(lambda _: 1 // 0, None)

    assert not before
    assert short < 60
    assert effort.seconds != short
