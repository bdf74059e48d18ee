"""Replays and forks: the saver continues them as LangGraph's own in-memory saver does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from clients.langgraph.checkpoints import NewSaver, config_of, put, stored
from clients.langgraph.graphs import Graph, Said, thread
from e2e.servers import ServerProcess
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, StateSnapshot, interrupt
from runstore.langgraph import RunstoreSaver, ThreadTakenOver

DURABILITIES = ["sync", "async", "exit"]
WAYS = ["sync", "async"]


class Node(NamedTuple):
    """A node that speaks, asks, or is a graph; a graph may keep a memory of its own."""

    kind: str
    has_memory: bool = False
    inner: tuple[Node, ...] = ()


class Action(NamedTuple):
    """What a person does to the thread; `at` chooses a checkpoint of its history."""

    kind: str
    at: int
    durability: str


SAY, ASK = Node("say"), Node("ask")


def graph_of(nodes: Sequence[Node], checkpointer: Any) -> Graph:
    """The nodes one after the other."""
    builder = StateGraph(Said)
    before = START
    for number, node in enumerate(nodes):
        name = f"{node.kind}{number}"
        builder.add_node(name, runnable(name, node), input_schema=Said)
        builder.add_edge(before, name)
        before = name
    return builder.compile(checkpointer=checkpointer)


def runnable(name: str, node: Node) -> Any:
    if node.kind == "graph":
        return graph_of(node.inner, node.has_memory or None)
    if node.kind == "ask":
        return lambda _: {"words": [f"{name}:{interrupt(name)}"]}
    return lambda _: {"words": [name]}


def call(graph: Graph, given: Any, config: Any, how: str, **more: Any) -> Any:
    if how == "async":
        return asyncio.run(graph.ainvoke(given, config, **more))
    return graph.invoke(given, config, **more)


def act(graph: Graph, action: Action, how: str, number: int) -> Any:
    """Do it, and tell what came of it."""
    past = [*graph.get_state_history(thread())]
    chosen = past[action.at % len(past)].config if past else thread()
    given, config = {
        "begin": ({"words": [f"turn{number}"]}, thread()),
        "answer": (Command(resume=f"answer{number}"), thread()),
        "continue": (None, thread()),
        "replay": (None, chosen),
        "answer the past": (Command(resume=f"answer{number}"), chosen),
        "begin in the past": ({"words": [f"turn{number}"]}, chosen),
        "change the past": (None, chosen),
        "change the past and stop": (None, chosen),
    }[action.kind]
    try:
        if action.kind.startswith("change"):
            config = graph.update_state(config, {"words": [f"change{number}"]})
        if action.kind.endswith("stop"):
            return None
        said = call(graph, given, config, how, durability=action.durability)
    except ThreadTakenOver:
        raise
    except Exception as error:
        return type(error).__name__
    return said and (said.get("words"), [each.value for each in said.get("__interrupt__", ())])


def seen(state: StateSnapshot) -> Any:
    """A state without what differs from run to run."""
    tasks = [
        (
            task.name,
            [each.value for each in task.interrupts],
            seen(task.state) if isinstance(task.state, StateSnapshot) else None,
        )
        for task in state.tasks
    ]
    metadata = state.metadata or {}
    return state.values, state.next, metadata.get("source"), metadata.get("step"), tasks


def story(
    nodes: Sequence[Node], actions: Sequence[Action], saver: BaseCheckpointSaver[Any], how: str
) -> Iterator[Any]:
    """All that a person sees while acting on a graph."""
    graph = graph_of(nodes, saver)
    for number, action in enumerate([Action("begin", 0, actions[0].durability), *actions]):
        yield action, act(graph, action, how, number)
        yield "then", seen(graph.get_state(thread(), subgraphs=True))
        yield "past", [seen(each) for each in graph.get_state_history(thread())]


LEAVES = st.sampled_from([SAY, ASK, ASK])


def graphs(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    nodes = st.lists(inner, min_size=1, max_size=2).map(tuple)
    return st.builds(Node, st.just("graph"), st.sampled_from([True, True, False]), nodes)


NODES = st.lists(
    st.one_of(graphs(LEAVES), LEAVES, graphs(st.one_of(LEAVES, graphs(LEAVES)))),
    min_size=1,
    max_size=3,
)
KINDS = [
    "answer",
    "replay",
    "begin",
    "continue",
    "answer the past",
    "begin in the past",
    "change the past",
    "change the past and stop",
]
ACTION = st.builds(
    Action,
    st.sampled_from(KINDS + KINDS[:2]),
    st.integers(0, 9),
    st.sampled_from(DURABILITIES),
)
ACTIONS = st.lists(ACTION, min_size=2, max_size=5)


@pytest.mark.slow
@pytest.mark.parametrize("how", WAYS)
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(NODES, ACTIONS)
@example([Node("graph", True, (ASK,))], [Action("answer", 0, each) for each in DURABILITIES])
@example([Node("graph", True, (ASK,))], [Action("replay", 1, each) for each in DURABILITIES])
def test_any_time_travel_shows_what_the_in_memory_saver_shows(
    how: str, served: ServerProcess, nodes: list[Node], actions: list[Action]
) -> None:
    told = story(nodes, actions, InMemorySaver(), how)

    with RunstoreSaver(served.target, project=f"model/{uuid4().hex}") as saver:
        for expected, found in zip(told, story(nodes, actions, saver, how), strict=True):
            assert found == expected


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("depth", [1, 2])
def test_a_subgraph_replayed_from_before_its_first_checkpoint_begins_anew(
    depth: int, how: str, durability: str, saver: RunstoreSaver
) -> None:
    node = ASK
    for _ in range(depth):
        node = Node("graph", has_memory=True, inner=(node,))

    here, there = (answered_anew(node, each, how, durability) for each in (saver, InMemorySaver()))

    assert here == there
    words, roots = here
    # With "exit", the subgraph's first checkpoint is older than its parent's.
    assert (words, roots) == (["ask0:new"], 2) or durability == "exit"
    assert words[-1] == "ask0:new"


def answered_anew(node: Node, saver: Any, how: str, durability: str) -> tuple[list[str], int]:
    """What is said once a question is asked and answered anew, and how often the graph began."""
    graph = graph_of([node], saver)
    call(graph, {"words": []}, thread(), how, durability=durability)
    call(graph, Command(resume="old"), thread(), how, durability=durability)
    past = next(each for each in graph.get_state_history(thread()) if each.next)
    call(graph, None, past.config, how, durability=durability)
    said = call(graph, Command(resume="new"), thread(), how, durability=durability)
    found = saver.list(config_of(namespace="graph0"))
    return said["words"], sum(each.parent_config is None for each in found)


def test_only_a_replay_that_finds_nothing_may_begin_a_namespace_anew(
    saver: RunstoreSaver,
) -> None:
    first = {name: put(saver, {"a": 1}, config_of(namespace=name)) for name in ("", "sub")}
    for name, config in first.items():
        stored(saver, config_of(namespace=name))
        assert not list(saver.list(config_of(namespace=name), before=config, limit=0))
        assert not list(saver.list(config_of(namespace=name), before=config, filter={"step": 9}))
    assert not list(saver.list(config_of(), before=first[""]))
    assert not list(saver.list(thread(checkpoint_ns="other"), before=first["sub"]))
    assert list(saver.list(config_of(namespace="sub"), before=config_of(checkpoint_id="z")))

    for name in first:
        with pytest.raises(ThreadTakenOver, match="follows nothing"):
            put(saver, {"a": 2}, config_of(namespace=name))

    assert not list(saver.list(config_of(namespace="sub"), before=first["sub"], limit=1))
    put(saver, {"a": 2}, config_of(namespace="sub"))


def test_a_replay_that_found_nothing_is_refused_after_another_saver_wrote(
    new_saver: NewSaver,
) -> None:
    mine, other = new_saver(), new_saver()
    first = put(other, {"a": 1}, config_of(namespace="sub"))
    stored(mine, config_of(namespace="sub"))
    assert not list(mine.list(config_of(namespace="sub"), before=first, limit=1))
    latest = put(other, {"a": 2}, first)

    with pytest.raises(ThreadTakenOver):
        put(mine, {"a": 3}, config_of(namespace="sub"))
    assert stored(mine, config_of(namespace="sub")).config == latest
    with pytest.raises(ThreadTakenOver):
        put(mine, {"a": 3}, config_of(namespace="sub"))
