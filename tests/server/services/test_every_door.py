"""A rule of writing holds in every RPC that writes to a run.

The RPCs, and which of their requests have an epoch or an expected seq, are read from the contracts:
a new one fails here until it has a request below.
"""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from runstore.errors import from_rpc, from_status
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event
from runstore.v1.outputs_pb2 import OUTCOME_FAILED
from runstore.v1.snapshots_pb2 import Snapshot, TaskWrite

READ_VERBS = ("Get", "List", "Replay", "Search", "Stream", "Verify")
SERVICE = rpc.DESCRIPTOR.services_by_name["RunService"]
WRITES = {each.name: each for each in SERVICE.methods if not each.name.startswith(READ_VERBS)}

# What each write asks for, beside project and run.
REQUESTS: dict[str, Message] = {
    "AppendEvent": rpc.AppendEventRequest(event=Event(type="t")),
    "AppendEvents": rpc.AppendEventsRequest(events=[Event(type="t"), Event(type="t")]),
    "AppendMany": rpc.AppendManyRequest(appends=[rpc.AppendEventRequest(event=Event(type="t"))]),
    "AppendEventStream": rpc.AppendEventStreamRequest(
        append=rpc.AppendEventRequest(event=Event(type="t"))
    ),
    "CompleteRun": rpc.CompleteRunRequest(outcome=OUTCOME_FAILED, events=[Event(type="t")]),
    "DeleteSnapshots": rpc.DeleteSnapshotsRequest(snapshot_ids=["snapshot"]),
    "ForkRun": rpc.ForkRunRequest(fork_run_id="fork"),
    "PutSnapshot": rpc.PutSnapshotRequest(
        snapshot=Snapshot(snapshot_id="new"),
        events=[Event(type="t")],
        task_writes=[TaskWrite(task_id="t", index=0)],
    ),
    "PutTaskWrites": rpc.PutTaskWritesRequest(
        writes=[TaskWrite(task_id="t", index=0, snapshot_id="snapshot")]
    ),
    "ResumeRun": rpc.ResumeRunRequest(),
    "SaveRun": rpc.SaveRunRequest(
        completion=rpc.Completion(outcome=OUTCOME_FAILED, events=[Event(type="t")])
    ),
}
# What a completed run takes, with the reason.
AFTER_THE_END = {
    "DeleteSnapshots": "snapshots can be cleared away at any time",
    "ForkRun": "a fork is another run",
}


def owner(request: Any) -> Any:
    """The message that names the run."""
    if isinstance(request, rpc.AppendManyRequest):
        return request.appends[0]
    return request.append if isinstance(request, rpc.AppendEventStreamRequest) else request


def having(field: str) -> list[str]:
    return [
        name
        for name, request in REQUESTS.items()
        if field in owner(request).DESCRIPTOR.fields_by_name
    ]


def request_of(name: str, project: str, **fields: Any) -> Any:
    request = type(REQUESTS[name])()
    request.CopyFrom(REQUESTS[name])
    named = owner(request)
    named.project, named.run_id = project, "run"
    if hasattr(request, "project"):
        request.project = project
    for field, value in fields.items():
        setattr(named, field, value)
    return request


async def reason(stub: Any, name: str, request: Message) -> str:
    """Why the server refuses a request; empty if it does not."""
    try:
        if name == "AppendEventStream":
            call = stub.AppendEventStream()
            await call.write(request)
            await call.done_writing()
            answer = await call.read()
            return from_status(answer.error).reason if answer.HasField("error") else ""
        answer = await getattr(stub, name)(request)
        if name == "AppendMany":
            (result,) = answer.results
            return from_status(result.error).reason if result.HasField("error") else ""
    except grpc.RpcError as error:
        return from_rpc(error).reason
    return ""


@pytest.fixture
async def run(stub: Any, project: str) -> dict[str, str]:
    """A run with an event and a snapshot, which its second writer holds."""
    of_run = {"project": project, "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    await stub.PutSnapshot(rpc.PutSnapshotRequest(**of_run, snapshot={"snapshot_id": "snapshot"}))
    await stub.ResumeRun(rpc.ResumeRunRequest(**of_run))
    return of_run


def test_every_write_has_a_request_here() -> None:
    assert REQUESTS.keys() == WRITES.keys()


@pytest.mark.parametrize("name", sorted(REQUESTS.keys() - {"SaveRun"}))
async def test_a_run_that_is_not_there_is_not_found(stub: Any, project: str, name: str) -> None:
    assert await reason(stub, name, request_of(name, project)) == "RUN_NOT_FOUND"


@pytest.mark.parametrize(("epoch", "expected"), [(1, "WRITER_FENCED"), (3, "WRITER_EPOCH_UNKNOWN")])
@pytest.mark.parametrize("name", having("writer_epoch"))
async def test_only_the_runs_writer_writes(
    stub: Any, run: dict[str, str], name: str, epoch: int, expected: str
) -> None:
    before = await stub.GetRun(rpc.GetRunRequest(**run))

    assert (
        await reason(stub, name, request_of(name, run["project"], writer_epoch=epoch)) == expected
    )

    assert await stub.GetRun(rpc.GetRunRequest(**run)) == before


@pytest.mark.parametrize("name", having("expected_seq"))
async def test_a_writer_that_did_not_see_the_last_event_is_refused(
    stub: Any, run: dict[str, str], name: str
) -> None:
    before = await stub.GetRun(rpc.GetRunRequest(**run))

    assert (
        await reason(stub, name, request_of(name, run["project"], expected_seq=0)) == "SEQ_CONFLICT"
    )

    assert await stub.GetRun(rpc.GetRunRequest(**run)) == before


@pytest.mark.parametrize("name", REQUESTS)
async def test_every_write_is_taken_of_the_runs_writer(
    stub: Any, run: dict[str, str], name: str
) -> None:
    guard = {"writer_epoch": 2} if name in having("writer_epoch") else {}
    guard |= {"expected_seq": 1} if name in having("expected_seq") else {}
    request = request_of(name, run["project"], **guard)
    if name == "SaveRun":
        request.run_id = "another"

    assert await reason(stub, name, request) == ""


@pytest.mark.parametrize("name", sorted(REQUESTS.keys() - {"SaveRun"}))
async def test_a_completed_run_takes_no_more_writes(
    stub: Any, run: dict[str, str], name: str
) -> None:
    await stub.CompleteRun(rpc.CompleteRunRequest(**run, outcome=OUTCOME_FAILED))

    expected = "" if name in AFTER_THE_END else "RUN_COMPLETED"

    assert await reason(stub, name, request_of(name, run["project"])) == expected
