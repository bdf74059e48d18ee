"""What may cross to another process, and what says that it may not."""

import asyncio
import copy
import dataclasses
import enum
import inspect
import multiprocessing
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import grpc
import pytest
import runstore
from runstore.failures import Failure
from runstore.langgraph import RunstoreSaver, ThreadTakenOver

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle{protocol}": lambda value, protocol=protocol: pickle.loads(
            pickle.dumps(value, protocol)
        )
        for protocol in (0, pickle.DEFAULT_PROTOCOL, pickle.HIGHEST_PROTOCOL)
    },
}
copied_by = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
PUBLIC = [getattr(runstore, name) for name in runstore.__all__]
CLASSES = [each for each in PUBLIC if inspect.isclass(each)]


def error(kind: type[runstore.RunstoreError]) -> runstore.RunstoreError:
    if kind is runstore.ProtocolError:
        return runstore.ProtocolError("a wrong answer")
    if kind is runstore.TokenSecretLost:
        return runstore.TokenSecretLost("a token")
    return kind(
        Failure(
            grpc.StatusCode.ABORTED,
            "another writer was faster",
            "SEQ_CONFLICT",
            MappingProxyType({"current_seq": "5"}),
            (("event.type", "is empty"),),
            "r1",
            0.5,
        )
    )


ERRORS = [each for each in CLASSES if issubclass(each, runstore.RunstoreError)]


@copied_by
def test_an_error_is_copied_with_all_it_says(copied) -> None:
    for kind in [*ERRORS, ThreadTakenOver]:
        raised = error(kind)
        raised.add_note("while saving")

        other = copied(raised)

        assert type(other) is kind
        assert (str(other), other.args, vars(other)) == (str(raised), raised.args, vars(raised))


def refused(number: int) -> None:
    raise error(runstore.SeqConflict)


async def test_an_error_raised_in_a_pool_reaches_its_caller() -> None:
    def use() -> None:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.map_async(refused, [1]).get(timeout=60)

    with pytest.raises(runstore.SeqConflict) as raised:
        await asyncio.to_thread(use)

    assert raised.value.current_seq == 5


def members() -> Iterator[enum.Enum]:
    for kind in CLASSES:
        if issubclass(kind, enum.Enum):
            yield from kind


VALUES = [
    kind(*(f"value of {each.name}" for each in dataclasses.fields(kind)))
    for kind in CLASSES
    if dataclasses.is_dataclass(kind) and kind not in {runstore.Resumed, runstore.AsyncResumed}
]


@copied_by
def test_a_value_is_copied_whole(copied) -> None:
    for value in [*VALUES, *members()]:
        assert copied(value) == value


async def test_what_a_server_returned_is_copied_whole(client: runstore.AsyncClient) -> None:
    run = await client.save_run("go", labels={"a": "b"}, plan={"steps": [1]})
    appended = await run.append("tick", {"n": 1}, occurred_at=datetime.now(UTC))
    put = await run.snapshot(state={"x": 1})
    resumed = await client.resume(run.run_id)
    returned = [
        await run.get(),
        appended,
        put,
        resumed.claim,
        await run.get_snapshot(),
        await run.replay(),
        await run.verify(),
        await run.list_events(),
    ]

    for value in returned:
        assert pickle.loads(pickle.dumps(value)) == value
        assert copy.deepcopy(value) == value


HANDLES: dict[str, Callable[[Any], Any]] = {
    "client": lambda client: client,
    "run": lambda client: client.run("r"),
    "feed": lambda client: client.feed,
    "configs": lambda client: client.configs,
    "artifacts": lambda client: client.artifacts,
    "appender": lambda client: client.appender(),
}


@pytest.mark.parametrize("cross", [pickle.dumps, copy.deepcopy])
@pytest.mark.parametrize("handle", HANDLES.values(), ids=HANDLES)
async def test_a_handle_says_that_it_stays_in_its_process(handle, cross) -> None:
    async with runstore.connect("127.0.0.1:1") as aio:
        with runstore.Client("127.0.0.1:1") as sync:
            for client in (aio, sync):
                with pytest.raises(TypeError, match=r"open a client in the other process"):
                    cross(handle(client))


def test_a_saver_says_that_it_stays_in_its_process() -> None:
    with (
        RunstoreSaver("127.0.0.1:1") as saver,
        pytest.raises(TypeError, match="RunstoreSaver cannot be pickled"),
    ):
        pickle.dumps(saver)


FORKED = """
import asyncio, os, runstore
from runstore.langgraph import RunstoreSaver

client = runstore.Client("127.0.0.1:1", timeout=0.1)
try:
    client.run("r").get()
except runstore.RunstoreError:
    pass
if os.fork() == 0:
    for use in (
        lambda: client.run("r").get(),
        lambda: next(client.run("r").events()),
        lambda: client.health(),
        lambda: client.artifacts.upload("r", "name", b"bytes"),
    ):
        try:
            use()
        except RuntimeError as error:
            print(error, flush=True)
    os._exit(0)
os.wait()
"""


def test_a_client_says_that_it_does_not_work_in_a_fork() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=180, check=True
    )

    assert done.stdout.count("open a client in each process\n") == 4, done
