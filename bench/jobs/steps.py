"""A LangGraph graph that runs step after step, over our saver and over its own for Postgres.

Its state is a number and a log; each step adds a line to the log. Each call is a new thread.
"""

from __future__ import annotations

import operator
import time
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from bench.jobs.appends import PROJECT
from bench.jobs.snapshots import postgres_saver

LINE = "step {} looked something up and wrote down what it had found there"


class State(TypedDict):
    number: int
    log: Annotated[list[str], operator.add]


async def ours(address: str, steps: int, durability: str) -> dict[str, Any]:
    """Over RunstoreSaver, which is a client of a server; counts the RPCs."""
    if address not in _savers:
        _savers[address] = _counted(address)
    saver, sent = _savers[address]
    before = len(sent)
    answer = await _run(saver, steps, durability)
    return answer | {"rpcs": (len(sent) - before) / steps}


async def theirs(url: str, schema: str, steps: int, durability: str) -> dict[str, Any]:
    """Over AsyncPostgresSaver, whose statements are sent by this process."""
    return await _run(await postgres_saver(url, schema), steps, durability)


_savers: dict[str, tuple[Any, list[str]]] = {}


def _counted(address: str) -> tuple[Any, list[str]]:
    """A saver, and the methods of the calls that it has sent."""
    from runstore.langgraph import RunstoreSaver  # noqa: PLC0415 - only this job needs it

    saver = RunstoreSaver(address, project=PROJECT)
    connection: Any = saver._halves.aio().connection
    sent: list[str] = []
    send = connection.send

    async def counted(call: Any) -> Any:
        sent.append(call.method)
        return await send(call)

    connection.send = counted
    return saver, sent


async def _run(saver: Any, steps: int, durability: Any) -> dict[str, Any]:
    from langgraph.graph import END, START, StateGraph  # noqa: PLC0415 - only these jobs need it

    async def node(state: State) -> dict[str, Any]:
        return {"number": state["number"] + 1, "log": [LINE.format(state["number"])]}

    graph = StateGraph(State)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.add_conditional_edges("node", lambda state: "node" if state["number"] < steps else END)
    app = graph.compile(checkpointer=saver)
    config: Any = {"configurable": {"thread_id": str(uuid4())}, "recursion_limit": steps + 10}
    cpu, began = time.process_time(), time.perf_counter()
    await app.ainvoke({"number": 0, "log": []}, config, durability=durability)
    return {
        "milliseconds": 1000 * (time.perf_counter() - began) / steps,
        "cpu_milliseconds": 1000 * (time.process_time() - cpu) / steps,
    }
