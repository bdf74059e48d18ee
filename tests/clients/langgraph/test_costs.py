"""How many calls a saver makes: not more with every step, and none for what is on its way."""

from __future__ import annotations

import asyncio
import operator
from collections import Counter
from typing import Annotated, Any, TypedDict

import pytest
from clients.langgraph.checkpoints import config_of, put
from clients.langgraph.graphs import Said, chain, echo, say, thread
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Send
from runstore.langgraph import RunstoreSaver


def joined(words: list[str], writes: list[list[str]]) -> list[str]:
    return [*words, *(word for write in writes for word in write)]


class Deltas(TypedDict):
    words: Annotated[list[str], DeltaChannel(joined, list)]
    count: Annotated[int, operator.add]


def count_calls(half: Any) -> Counter[str]:
    """The calls of a saver's half from now on, by their names."""
    calls: Counter[str] = Counter()
    connection = half.threads._connection
    send = connection.send

    def counted(call: Any) -> Any:
        calls[call.method] += 1
        return send(call)

    connection.send = counted
    return calls


def test_a_turn_with_delta_channels_costs_no_more_after_many_steps(saver: RunstoreSaver) -> None:
    graph = chain(saver, say("one"), say("two"), state=Deltas)
    calls = count_calls(saver._halves.sync())
    costs = []
    for turn in range(13):
        calls.clear()
        said = graph.invoke({"words": [str(turn)]}, thread())
        costs.append(calls.copy())

    assert len(said["words"]) == 13 * 3
    # Which writes share a call depends on how fast they come, so three turns are looked at.
    reads = [each["GetSnapshot"] + each["ListSnapshots"] for each in costs]
    totals = [each.total() for each in costs]
    assert min(reads[1:]) <= 4
    assert min(reads[10:]) <= max(reads[1:4]), "forty steps later"
    assert min(totals[10:]) <= max(totals[1:4]) + 2


def test_a_history_of_states_with_delta_channels_costs_the_same_after_many_steps(
    saver: RunstoreSaver,
) -> None:
    graph = chain(saver, say("one"), say("two"), state=Deltas)
    for turn in range(6):
        graph.invoke({"words": [str(turn)]}, thread())
    calls = count_calls(saver._halves.sync())

    states = list(graph.get_state_history(thread(), limit=5))

    assert [len(each.values["words"]) for each in states] == [18, 17, 16, 15, 15]
    assert calls.total() <= 1 + 2 * 5


def test_a_listing_is_one_call_for_a_page(saver: RunstoreSaver) -> None:
    config = None
    for number in range(30):
        config = put(saver, {"n": number}, config, checkpoint_id=f"{number:02}")
        saver.put_writes(config, [("n", number)], "task")
    calls = count_calls(saver._halves.sync())

    found = list(saver.list(config_of()))
    assert calls == {"ListSnapshots": 1}
    some = list(saver.list(config_of(), limit=5))
    assert calls == {"ListSnapshots": 2}
    before = list(saver.list(config_of(), before=config_of(checkpoint_id="03"), limit=2))

    assert calls == {"ListSnapshots": 3, "GetRun": 1}
    assert [each.pending_writes for each in found] == [
        [("task", "n", number)] for number in reversed(range(30))
    ]
    assert some == found[:5]
    assert before == found[-3:-1]


def test_the_history_of_a_branch_has_nothing_of_its_siblings(saver: RunstoreSaver) -> None:
    memory = InMemorySaver()
    histories = []
    for each in (saver, memory):
        graph = chain(each, say("one"), say("two"), state=Deltas)  # type: ignore[arg-type]
        graph.invoke({"words": ["start"]}, thread())
        middle = list(graph.get_state_history(thread()))[-3]
        for word in ("left", "right"):
            config = graph.update_state(middle.config, {"words": [word]}, as_node="one")
            graph.invoke(None, config)
        histories.append([state.values["words"] for state in graph.get_state_history(thread())])

    assert histories[0] == histories[1]
    assert histories[0][0] == ["start", "one", "right", "two"]


def test_a_copy_reads_pages_not_checkpoints(saver: RunstoreSaver) -> None:
    namespaces = ["", "sub:1", "sub:2"]
    last: dict[str, Any] = dict.fromkeys(namespaces)
    for number in range(75):
        name = namespaces[number % 3]
        config = last[name] or config_of(namespace=name)
        last[name] = put(saver, {"n": number}, config, checkpoint_id=f"{number:03}")
        saver.put_writes(last[name], [("n", number)], "task")
    calls = count_calls(saver._halves.sync())

    saver.copy_thread("thread", "copy")

    assert calls["PutSnapshot"] == 75
    assert calls.total() - calls["PutSnapshot"] <= 1 + 2 * 3 + 3, "a list, two pages each, a claim"
    for name in namespaces:
        original = list(saver.list(config_of(namespace=name)))
        copied = list(saver.list(config_of("copy", namespace=name)))
        assert [each.checkpoint for each in copied] == [each.checkpoint for each in original]
        assert [each.pending_writes for each in copied] == [e.pending_writes for e in original]
    put_in_order = [each.checkpoint["id"] for each in saver.list(thread("copy"))]
    assert put_in_order == [f"{number:03}" for number in reversed(range(75))]


@pytest.mark.parametrize("durability", ["async", "sync"])
def test_parallel_tasks_look_up_nothing(durability: Any, saver: RunstoreSaver) -> None:
    builder = StateGraph(Said)
    builder.add_node("spread", lambda _: {})
    builder.add_node("task", lambda number: {"words": [str(number)]})
    builder.add_edge(START, "spread")
    builder.add_conditional_edges("spread", lambda _: [Send("task", n) for n in range(100)])
    graph = builder.compile(checkpointer=saver)

    async def run() -> Counter[str]:
        calls = count_calls(saver._halves.aio())
        await graph.ainvoke({"words": []}, thread(), durability=durability)
        await saver.aclose()
        return calls

    calls = asyncio.run(run())

    assert calls["GetSnapshot"] <= 2, "one a step, where no put was under way"
    assert len(echo(saver).get_state(thread()).values["words"]) == 100
