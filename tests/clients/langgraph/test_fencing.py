"""Two savers on one thread: they take turns, and never fork it silently."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import runstore
from clients.langgraph.checkpoints import NewSaver, config_of, put, stored
from clients.langgraph.graphs import chain, echo, say, thread
from e2e.servers import ServerProcess
from runstore.langgraph import RunstoreSaver, ThreadTakenOver

OTHER_PROCESS = """
import sys
from clients.langgraph.graphs import echo, thread
from runstore.langgraph import RunstoreSaver

with RunstoreSaver(sys.argv[1], project=sys.argv[2]) as saver:
    echo(saver).invoke({"words": ["other"]}, thread())
"""


def history(saver: RunstoreSaver) -> list[tuple[str, str]]:
    """The thread's checkpoints with their parents, newest first."""
    found = saver.list(config_of())
    return [
        (
            each.config["configurable"]["checkpoint_id"],
            each.parent_config["configurable"]["checkpoint_id"] if each.parent_config else "",
        )
        for each in found
    ]


def assert_no_fork(saver: RunstoreSaver) -> None:
    chain_of = history(saver)
    ids = [each for each, _ in chain_of]
    assert [parent for _, parent in chain_of] == [*ids[1:], ""]


def test_web_servers_may_serve_a_thread_in_turns(new_saver: NewSaver) -> None:
    savers = [new_saver(), new_saver()]

    for turn in range(6):
        said = echo(savers[turn % 2]).invoke({"words": [str(turn)]}, thread())

    assert said["words"] == [word for turn in range(6) for word in (str(turn), "echo")]
    assert_no_fork(savers[0])


def test_a_saver_that_is_overtaken_is_refused_and_may_continue_after_reading(
    new_saver: NewSaver,
) -> None:
    mine, other = new_saver(), new_saver()

    def overtake() -> None:
        with ThreadPoolExecutor() as pool:
            pool.submit(echo(other).invoke, {"words": ["other"]}, thread()).result()

    graph = chain(mine, say("one", overtake), say("two"))
    with pytest.raises(ThreadTakenOver) as refused:
        graph.invoke({"words": ["mine"]}, thread(), durability="sync")

    assert isinstance(refused.value, runstore.WriterFenced)
    assert "thread 'thread' was taken over" in str(refused.value)
    assert stored(other, config_of()).checkpoint["channel_values"]["words"][-2:] == [
        "other",
        "echo",
    ]
    said = echo(mine).invoke({"words": ["again"]}, thread())
    assert said["words"] == ["mine", "other", "echo", "again", "echo"]
    assert_no_fork(mine)


@pytest.mark.parametrize("durability", ["sync", "exit"])
def test_another_process_that_overtakes_fences_this_one(
    durability: str, saver: RunstoreSaver, served: ServerProcess, project: str
) -> None:
    def overtake() -> None:
        subprocess.run(
            [sys.executable, "-c", OTHER_PROCESS, served.target, project], check=True, cwd="tests"
        )

    graph = chain(saver, say("one", overtake), say("two"))
    with pytest.raises(ThreadTakenOver):
        graph.invoke({"words": ["mine"]}, thread(), durability=durability)

    words = stored(saver, config_of()).checkpoint["channel_values"]["words"]
    assert words[-2:] == ["other", "echo"]
    assert_no_fork(saver)


def test_a_first_write_after_that_of_another_saver_is_refused(new_saver: NewSaver) -> None:
    slow, fast = new_saver(), new_saver()
    assert slow.get_tuple(config_of()) is None
    put(fast, {"a": 1})

    with pytest.raises(ThreadTakenOver, match=r"run\.resumed was written at seq 1"):
        put(slow, {"a": 2})

    assert len(history(fast)) == 1


def test_a_saver_that_read_while_another_held_the_thread_cannot_overtake_it(
    new_saver: NewSaver,
) -> None:
    holder, late = new_saver(), new_saver()
    base = put(holder, {"a": 1})
    stored(late, config_of())
    latest = put(holder, {"a": 2}, base)  # under the epoch that `late` has seen

    with pytest.raises(ThreadTakenOver, match=r"langgraph\.checkpoint was written at seq 3"):
        put(late, {"a": 3}, base)
    with pytest.raises(ThreadTakenOver):
        late.put_writes(base, [("c", 1)], "task")

    put(holder, {"a": 4}, latest)
    assert_no_fork(holder)


def test_reading_another_namespace_does_not_make_an_old_read_new(new_saver: NewSaver) -> None:
    holder, late = new_saver(), new_saver()
    base = put(holder, {"a": 1})
    stored(late, config_of())
    put(holder, {"a": 2}, base)
    assert late.get_tuple(config_of(namespace="sub:1")) is None

    with pytest.raises(ThreadTakenOver):
        put(late, {"a": 3}, base)

    assert_no_fork(holder)


def test_a_read_that_returns_late_takes_nothing_back(saver: RunstoreSaver) -> None:
    first = put(saver, {"a": 1})
    stored(saver, config_of())
    run = saver._halves.sync().threads.find_run("thread")
    second = put(saver, {"a": 2}, first)

    session, counts = saver._halves._memory.sessions.read("thread", run)
    session.read_latest("", first["configurable"]["checkpoint_id"], "", run.last_seq)
    session.read_latest("sub:1", "sub", "", run.last_seq)

    assert counts
    assert session.latest.get("").checkpoint_id == second["configurable"]["checkpoint_id"]
    assert session.latest.get("sub:1").checkpoint_id == "sub"


def test_events_of_other_clients_do_not_stop_a_saver(
    new_saver: NewSaver, served: ServerProcess, project: str
) -> None:
    first = put(new_saver(), {"a": 1})
    saver = new_saver()
    stored(saver, config_of())
    with runstore.Client(served.target, project=project) as client:
        client.run("thread").append("person.noted")

    put(saver, {"a": 2}, first)

    assert stored(saver, config_of()).checkpoint["channel_values"] == {"a": 2}


def test_an_invocation_that_read_before_another_saver_wrote_stays_refused(
    new_saver: NewSaver,
) -> None:
    mine, other = new_saver(), new_saver()
    base = put(mine, {"a": 1})
    stored(other, config_of())
    latest = put(other, {"a": 2}, base)

    # A new invocation here reads what the other saver wrote; an old one knows nothing of it.
    assert stored(mine, config_of()).config == latest

    with pytest.raises(ThreadTakenOver):
        put(mine, {"a": 3}, base)
    with pytest.raises(ThreadTakenOver):
        put(mine, {"a": 3})
    with pytest.raises(ThreadTakenOver):
        mine.put_writes(base, [("c", 1)], "task")
    put(other, {"a": 4}, latest)
    assert stored(mine, config_of()).checkpoint["channel_values"] == {"a": 4}


def test_two_invocations_in_one_process_do_not_fork_a_thread(saver: RunstoreSaver) -> None:
    both_read = threading.Barrier(2, timeout=120)
    graph = chain(saver, say("one", both_read.wait), say("two"))

    with ThreadPoolExecutor() as pool:
        calls = [
            pool.submit(graph.invoke, {"words": [name]}, thread(), durability="exit")
            for name in "ab"
        ]
        failures = [call.exception() for call in calls]

    assert sorted(type(each).__name__ for each in failures) == ["NoneType", "ThreadTakenOver"]
    assert_no_fork(saver)


def test_a_thread_that_was_forgotten_has_to_be_read_again(new_saver: NewSaver) -> None:
    saver = new_saver(max_sessions=1)
    config = put(saver, {"a": 1})
    put(saver, {"a": 1}, config_of("another"))

    for write in (
        lambda: put(saver, {"a": 2}, config),
        lambda: put(saver, {"a": 2}),
        lambda: saver.put_writes(config, [("c", 1)], "task"),
    ):
        with pytest.raises(ThreadTakenOver, match="has not read it"):
            write()
    stored(saver, config_of())

    put(saver, {"a": 2}, config)
    assert_no_fork(saver)


def test_deleting_a_thread_fences_its_writer_and_the_thread_may_be_used_again(
    new_saver: NewSaver, served: ServerProcess, project: str
) -> None:
    mine, admin = new_saver(), new_saver()
    graph = chain(mine, say("one", lambda: admin.delete_thread("thread")), say("two"))

    with pytest.raises(ThreadTakenOver):
        graph.invoke({"words": ["gone"]}, thread(), durability="sync")

    assert mine.get_tuple(config_of()) is None
    assert echo(mine).invoke({"words": ["new"]}, thread())["words"] == ["new", "echo"]
    assert_no_fork(mine)
    with runstore.Client(served.target, project=project) as client:
        assert client.run("thread").verify().verified


def test_a_held_thread_is_not_deleted_and_its_writer_goes_on(
    new_saver: NewSaver, served: ServerProcess, project: str
) -> None:
    mine, admin = new_saver(), new_saver()
    with runstore.Client(served.target, project=project) as client:

        def delete_what_is_held() -> None:
            client.admin.place_hold("case 7", run_id="thread")
            with pytest.raises(runstore.RunHeld):
                admin.delete_thread("thread")

        graph = chain(mine, say("one", delete_what_is_held), say("two"))
        said = graph.invoke({"words": ["kept"]}, thread(), durability="sync")

    assert said["words"] == ["kept", "one", "two"]
    assert_no_fork(mine)
