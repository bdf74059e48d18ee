"""Graphs for the tests of the LangGraph saver."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt
from runstore.langgraph import RunstoreSaver

Graph = CompiledStateGraph[Any, Any, Any, Any]
Node = Callable[[Any], Any]


class Said(TypedDict):
    """What was said so far."""

    words: Annotated[list[str], operator.add]


def thread(thread_id: str = "thread", **more: str) -> Any:
    return {"configurable": {"thread_id": thread_id, **more}}


def chain(saver: RunstoreSaver, *nodes: Node, state: type = Said) -> Graph:
    """The nodes in a row, named as their functions."""
    builder = StateGraph(state)
    names = [node.__name__ for node in nodes]
    for name, node in zip(names, nodes, strict=True):
        builder.add_node(name, node, input_schema=state)
    for before, after in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(before, after)
    return builder.compile(checkpointer=saver)


def say(name: str, then: Callable[[], object] | None = None) -> Node:
    """A node that says its name; `then` is called before."""

    def node(state: Said) -> Said:
        if then:
            then()
        return {"words": [name]}

    node.__name__ = name
    return node


def ask(state: Said) -> Said:
    """Wait for a person, twice."""
    return {"words": [interrupt("first?"), interrupt("second?")]}


def echo(saver: RunstoreSaver) -> Graph:
    """One node."""
    return chain(saver, say("echo"))
