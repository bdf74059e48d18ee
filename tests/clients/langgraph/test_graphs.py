"""Real graphs on the LangGraph saver."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
import runstore
from clients.langgraph.checkpoints import NewSaver, config_of, stored
from clients.langgraph.graphs import Graph, Said, ask, chain, echo, say, thread
from conftest import server_environment
from e2e.servers import ServerProcess
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send
from runstore.langgraph import RunstoreSaver

DURABILITIES = ["sync", "async", "exit"]


def call(graph: Graph, given: Any, config: Any, how: str, **more: Any) -> Any:
    """Invoke a graph synchronously or asynchronously."""
    if how == "async":
        return asyncio.run(graph.ainvoke(given, config, **more))
    return graph.invoke(given, config, **more)


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_person_answers_in_the_middle(how: str, durability: str, saver: RunstoreSaver) -> None:
    times: list[int] = []
    graph = chain(saver, say("before", lambda: times.append(1)), ask, say("after"))

    asked = [
        call(graph, given, thread(), how, durability=durability)["__interrupt__"][0].value
        for given in ({"words": []}, Command(resume="yes"))
    ]
    said = call(graph, Command(resume="no"), thread(), how, durability=durability)

    assert asked == ["first?", "second?"]
    assert said["words"] == ["before", "yes", "no", "after"]
    assert times == [1]


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("how", ["sync", "async"])
def test_tasks_that_finished_beside_a_failure_are_not_run_again(
    how: str, durability: str, saver: RunstoreSaver, new_saver: NewSaver
) -> None:
    done: list[str] = []
    broken = [new_saver()]

    def work(given: Said) -> Said:
        (word,) = given["words"]
        done.append(word)
        # With durability "exit" the writes are stored only when the graph fails.
        while word == "7" and broken and durability != "exit":
            found = broken[0].get_tuple(config_of())
            if found and len(found.pending_writes or ()) >= 9:
                raise ConnectionError(word)
        if word == "7" and broken:
            raise ConnectionError(word)
        return {"words": [word]}

    builder = StateGraph(Said)
    builder.add_node("work", work)
    jobs = [Send("work", {"words": [str(number)]}) for number in range(10)]
    builder.add_conditional_edges(START, lambda _: jobs, ["work"])
    graph = builder.compile(checkpointer=saver)
    with pytest.raises(ConnectionError):
        call(graph, {"words": []}, thread(), how, durability=durability)
    broken.clear()

    said = call(graph, None, thread(), how, durability=durability)

    assert said["words"] == [str(number) for number in range(10)]
    if durability != "exit":
        assert sorted(done) == sorted("01234567789")


def test_time_travel_starts_a_branch_and_keeps_the_first(saver: RunstoreSaver) -> None:
    graph = chain(saver, say("one"), say("two"), say("three"))
    graph.invoke({"words": ["start"]}, thread())
    before = list(graph.get_state_history(thread()))
    past = next(each for each in before if each.next == ("two",))

    branch = graph.update_state(past.config, {"words": ["changed"]})
    said = graph.invoke(None, branch)

    assert said["words"] == ["start", "one", "changed", "two", "three"]
    assert graph.get_state(thread()).values == said
    assert graph.get_state(before[0].config).values["words"] == ["start", "one", "two", "three"]
    assert graph.invoke(None, past.config)["words"] == ["start", "one", "two", "three"]
    assert len(list(graph.get_state_history(thread()))) > len(before) + 3


@pytest.mark.parametrize("base", ["latest", "root", "chosen"])
def test_a_state_may_be_copied(base: str, saver: RunstoreSaver) -> None:
    graph = echo(saver)
    graph.invoke({"words": ["start"]}, thread())
    past = list(graph.get_state_history(thread()))
    config = {"latest": thread(), "root": past[-1].config, "chosen": past[1].config}[base]

    copied = graph.update_state(config, None, as_node="__copy__")

    assert graph.get_state(copied).values == graph.get_state(config).values


def test_a_replayed_subgraph_continues_from_its_state_at_that_time(saver: RunstoreSaver) -> None:
    inner = chain(saver, say("in"), ask)
    inner.checkpointer = None
    builder = StateGraph(Said)
    builder.add_node("sub", inner)
    builder.add_edge(START, "sub")
    graph = builder.compile(checkpointer=saver)
    graph.invoke({"words": ["start"]}, thread())
    graph.invoke(Command(resume="yes"), thread())
    state = graph.get_state(thread(), subgraphs=True)

    said = graph.invoke(Command(resume="no"), thread())

    namespace = state.tasks[0].state.config["configurable"]["checkpoint_ns"]
    assert namespace.startswith("sub:")
    assert stored(saver, config_of(namespace=namespace)).checkpoint["channel_values"]["words"]
    assert said["words"] == ["start", "start", "in", "yes", "no"]
    past = [each for each in graph.get_state_history(thread()) if each.next == ("sub",)]
    again = graph.invoke(None, past[0].config)
    assert again["__interrupt__"][0].value == "first?"
    graph.invoke(Command(resume="other"), thread())
    said = graph.invoke(Command(resume="way"), thread())
    assert said["words"] == ["start", "start", "in", "other", "way"]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_subgraph_with_a_memory_is_replayed_from_its_memory_at_that_time(
    how: str, saver: RunstoreSaver
) -> None:
    said = []
    for each in (saver, InMemorySaver()):
        inner = chain(each, say("in"))
        inner.checkpointer = True
        builder = StateGraph(Said)
        builder.add_node("sub", inner)
        builder.add_edge(START, "sub")
        graph = builder.compile(checkpointer=each)
        for turn in range(3):
            call(graph, {"words": [str(turn)]}, thread(), how)
        past = [each for each in graph.get_state_history(thread()) if each.next == ("sub",)]
        said.append(call(graph, None, past[1].config, how)["words"])
        said.append(graph.get_state(thread(checkpoint_ns="sub")).values["words"])

    assert said[:2] == said[2:]


def test_a_synchronous_subgraph_in_an_asynchronous_graph_shares_the_claim(
    saver: RunstoreSaver,
) -> None:
    inner = chain(saver, say("in"))
    inner.checkpointer = None
    graph = chain(saver, say("one"), lambda_node(inner), say("two"))

    said = call(graph, {"words": ["start"]}, thread(), "async", durability="async")

    assert said["words"] == ["start", "one", "start", "one", "in", "two"]
    namespaces = {each.config["configurable"]["checkpoint_ns"] for each in saver.list(thread())}
    assert len(namespaces) == 2


def lambda_node(inner: Graph) -> Any:
    def call_inner(state: Said) -> Said:
        return {"words": inner.invoke(state)["words"]}

    return call_inner


def test_a_thread_may_begin_with_a_command(saver: RunstoreSaver) -> None:
    begin = Command(update={"words": ["start"]}, goto="two")
    graphs = [chain(each, say("one"), say("two")) for each in (saver, InMemorySaver())]

    here, there = (graph.invoke(begin, thread()) for graph in graphs)

    assert here == there
    assert stored(saver, thread()).checkpoint["channel_values"]["words"] == here["words"]
    session = saver._halves._memory.sessions.find("thread")
    assert session
    assert not session.held


def merged(state: list[str], writes: list[list[str]]) -> list[str]:
    return [*state, *(word for words in writes for word in words)]


class Deltas(TypedDict):
    words: Annotated[list[str], DeltaChannel(merged, list, snapshot_frequency=5)]
    count: Annotated[int, operator.add]


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_delta_channel_survives_pruning_and_copying(
    how: str, durability: str, saver: RunstoreSaver
) -> None:
    wanted: list[str] = []
    for turn in range(9):
        graph = chain(saver, say("one"), say("two"), state=Deltas)
        call(graph, {"words": [str(turn)]}, thread(), how, durability=durability)
        wanted += [str(turn), "one", "two"]
        before = len(list(saver.list(thread())))

        saver.prune(["thread"])

        left = len(list(saver.list(thread())))
        assert graph.get_state(thread()).values["words"] == wanted
        assert left <= before
        assert left <= 16
    assert left < 9
    saver.copy_thread("thread", "copy")
    assert graph.get_state(thread("copy")).values["words"] == wanted
    said = call(graph, {"words": ["more"]}, thread("copy"), how, durability=durability)
    assert said["words"] == [*wanted, "more", "one", "two"]


def test_progress_can_be_followed_as_events(
    saver: RunstoreSaver, served: ServerProcess, project: str
) -> None:
    echo(saver).invoke({"words": ["start"]}, thread())

    with runstore.Client(served.target, project=project) as client:
        events = list(client.run("thread").events())

    told = [each.payload.value() for each in events if each.payload]
    assert [each.type for each in events] == ["run.resumed", *["langgraph.checkpoint"] * 3]
    assert [(each["source"], each["step"]) for each in told[1:]] == [
        ("input", -1),
        ("loop", 0),
        ("loop", 1),
    ]
    assert [each.event_id for each in events] == list(dict.fromkeys(e.event_id for e in events))


@pytest.fixture
def restartable(tmp_path: Path, database_url: str, db_schema: str) -> Iterator[ServerProcess]:
    environment = server_environment(database_url, db_schema)
    made = ServerProcess(tmp_path / "server.log", environment)
    made.start()
    made.wait_until_serving()
    yield made
    made.stop()


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_server_that_is_killed_and_restarted_in_the_middle_is_not_noticed(
    how: str, restartable: ServerProcess, project: str
) -> None:
    def restart() -> None:
        restartable.kill()
        restartable.start()

    with RunstoreSaver(restartable.target, project=project, timeout=60) as saver:
        graph = chain(saver, say("one"), say("two", restart), say("three", restart))

        said = call(graph, {"words": ["start"]}, thread(), how)

        assert said["words"] == ["start", "one", "two", "three"]
        assert graph.get_state(thread()).values == said
        assert len(list(saver.list(thread()))) == 5
