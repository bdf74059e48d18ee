"""A call beside one hostile request waits for no long step of the server's event loop.

What is bounded is the CPU time that the loop's thread takes while the call waits, which on a busy
machine is steadier than how long it waits.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from conftest import server_environment
from e2e.servers import ServerProcess, serving
from google.protobuf.message import Message
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.run_service_pb2_grpc import RunServiceStub

SECONDS = 300
MOST_SECONDS = 0.25
SIZE = 14_000_000
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
OfRun = dict[str, str]


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, database_url: str, db_schema: str
) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("canary") / "log"
    with serving(log, server_environment(database_url, db_schema)) as process:
        yield process


def loop_seconds(server: ServerProcess) -> float:
    """The CPU time that the main thread of the server, which runs the event loop, has taken."""
    assert server.process
    pid = server.process.pid
    status = Path(f"/proc/{pid}/task/{pid}/stat").read_text()
    _, _, fields = status.rpartition(")")
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def append(text: str) -> Callable[[OfRun], Message]:
    event = {"type": "t", "payload": {"json": text}}
    return lambda of_run: rpc.AppendEventRequest(**of_run, event=event)


def plan(of_run: OfRun) -> Message:
    text = "[" + '{"a":[1,2,{"b":null}]},' * (SIZE // 24) + "1]"
    return rpc.SaveRunRequest(project=of_run["project"], run_id="planned", plan={"json": text})


def snapshot_of_parts(of_run: OfRun) -> Message:
    request = rpc.PutSnapshotRequest(**of_run)
    for number in range(10_000):
        request.snapshot.state[f"part {number}"].json = f'"{number}{"x" * 1380}"'
    return request


def snapshot_of_nodes(of_run: OfRun) -> Message:
    request = rpc.PutSnapshotRequest(**of_run)
    for number in range(10_000):
        facets = [f"f{each}" for each in range(10)]
        node = request.snapshot.nodes.add(node_id=f"n{number}", facets=facets)
        for name in ("input_schema", "output_schema", "provenance", "state"):
            getattr(node, name).json = f'"{name} {number}"'
    return request


def completion(of_run: OfRun) -> Message:
    numbers = {"json": "[" + "1," * 3000 + "1]"}
    output = {"payload": {"json": "[" + "1," * (SIZE // 4) + "1]"}}
    events = [{"type": "t", "payload": numbers}] * 1000
    return rpc.CompleteRunRequest(
        **of_run, outcome="OUTCOME_SUCCEEDED", output=output, events=events
    )


@pytest.mark.parametrize(
    ("method", "make"),
    [
        pytest.param("AppendEvent", append("[" + "1," * (SIZE // 2) + "1]"), id="numbers"),
        pytest.param("AppendEvent", append("[" + '{"a":1},' * (SIZE // 8) + "1]"), id="objects"),
        pytest.param(
            "AppendEvent",
            append("[" + f"{'[' * 500}{']' * 500}," * (SIZE // 1001) + "1]"),
            id="deep",
        ),
        pytest.param("AppendEvent", append('"' + "\\n" * (SIZE // 2) + '"'), id="escapes"),
        ("SaveRun", plan),
        ("PutSnapshot", snapshot_of_parts),
        ("PutSnapshot", snapshot_of_nodes),
        ("CompleteRun", completion),
    ],
)
async def test_a_call_beside_a_hostile_request_waits_for_no_long_step(
    server: ServerProcess, method: str, make: Callable[[OfRun], Message]
) -> None:
    of_run = {"project": f"test/{uuid4().hex[:12]}", "run_id": "run"}
    took = []
    async with (
        grpc.aio.insecure_channel(server.target, options=OPTIONS) as hostile,
        grpc.aio.insecure_channel(server.target, options=OPTIONS) as channel,
    ):
        stub = RunServiceStub(channel)
        await stub.SaveRun(rpc.SaveRunRequest(**of_run))
        request = await asyncio.to_thread(make, of_run)

        sending = asyncio.ensure_future(
            getattr(RunServiceStub(hostile), method)(request, timeout=SECONDS)
        )
        while not sending.done():
            began = loop_seconds(server)
            await stub.GetRun(rpc.GetRunRequest(**of_run), timeout=SECONDS)
            took.append(loop_seconds(server) - began)

        await sending
    assert max(took) < MOST_SECONDS
