"""Bad input: each kind has its own clear status, and nothing is written."""

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from runstore.errors import RunstoreError, from_rpc
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event, EventFilter, Usage
from runstore.v1.outputs_pb2 import Output
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.runs_pb2 import ExternalRef
from runstore.v1.snapshots_pb2 import PlanNode, Snapshot, TaskWrite

DEEP = "[" * 600 + "]" * 600


async def refusal(call: object) -> RunstoreError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return from_rpc(caught.value)


@pytest.fixture
async def run_id(stub, project) -> str:
    return (await stub.SaveRun(rpc.SaveRunRequest(project=project, run_id="run"))).run.run_id


def event(**fields: object) -> rpc.AppendEventRequest:
    return rpc.AppendEventRequest(run_id="run", event=Event(**{"type": "t", **fields}))


def snapshot(**fields: object) -> rpc.PutSnapshotRequest:
    return rpc.PutSnapshotRequest(run_id="run", snapshot=Snapshot(**fields))


BAD = {
    "no run id": ("GetRun", rpc.GetRunRequest(), "run_id"),
    "no event": ("AppendEvent", rpc.AppendEventRequest(run_id="run"), "event"),
    "no type": ("AppendEvent", event(type=""), "event.type"),
    "reserved type": ("AppendEvent", event(type="run.completed"), "event.type"),
    "long type": ("AppendEvent", event(type="x" * 201), "event.type"),
    **{
        f"project {name!r}": ("GetRun", rpc.GetRunRequest(project=name, run_id="run"), "project")
        for name in (
            "bad project",
            "acme\n",
            "\tacme",
            "a\0b",
            "zero\u200bwidth",
            "caf\u0065\u0301\u202e",
            "/acme",
            "..",
            "a" * 201,
        )
    },
    "NUL in an id": ("AppendEvent", event(event_id="a\0b"), "event.event_id"),
    "no JSON": ("AppendEvent", event(payload=Payload(json="{")), "event.payload.json"),
    "empty JSON": ("AppendEvent", event(payload=Payload(json="")), "event.payload.json"),
    "NaN": ("AppendEvent", event(payload=Payload(json="[NaN]")), "event.payload.json"),
    "raw NUL in JSON": ("AppendEvent", event(payload=Payload(json='"\0"')), "event.payload.json"),
    "byte order mark": (
        "AppendEvent",
        event(payload=Payload(json="\ufeff1")),
        "event.payload.json",
    ),
    "two values": ("AppendEvent", event(payload=Payload(json="1 2")), "event.payload.json"),
    "deep JSON": ("AppendEvent", event(payload=Payload(json=DEEP)), "event.payload.json"),
    "very deep JSON": (
        "AppendEvent",
        event(payload=Payload(json="[" * 100_000)),
        "event.payload.json",
    ),
    "no content": ("AppendEvent", event(payload=Payload()), "event.payload"),
    "ref in an event": (
        "AppendEvent",
        event(payload=Payload(ref=b"x" * 32)),
        "event.payload.ref",
    ),
    "100,001 tags": ("AppendEvent", event(tags=["t"] * 100_001), "event.tags"),
    "long tag": ("AppendEvent", event(tags=["t", "x" * 201]), "event.tags[1]"),
    "negative usage": (
        "AppendEvent",
        event(usage=Usage(input_tokens=-1)),
        "event.usage.input_tokens",
    ),
    "bad time": (
        "AppendEvent",
        event(occurred_at=Timestamp(seconds=0, nanos=-1)),
        "event.occurred_at",
    ),
    "year 10000": (
        "AppendEvent",
        event(occurred_at=Timestamp(seconds=253_402_300_800)),
        "event.occurred_at",
    ),
    "negative expected_seq": (
        "AppendEvent",
        rpc.AppendEventRequest(run_id="run", event=Event(type="t"), expected_seq=-1),
        "expected_seq",
    ),
    "no events": ("AppendEvents", rpc.AppendEventsRequest(run_id="run"), "events"),
    "1001 events": (
        "AppendEvents",
        rpc.AppendEventsRequest(run_id="run", events=[Event(type="t")] * 1001),
        "events",
    ),
    "repeated event id": (
        "AppendEvents",
        rpc.AppendEventsRequest(run_id="run", events=[Event(type="t", event_id="e")] * 2),
        "events[1]",
    ),
    "negative from_seq": (
        "ListEvents",
        rpc.ListEventsRequest(run_id="run", from_seq=-1),
        "from_seq",
    ),
    "oversize page": (
        "ListEvents",
        rpc.ListEventsRequest(run_id="run", page_size=1001),
        "page_size",
    ),
    "oversize filter": (
        "ListEvents",
        rpc.ListEventsRequest(run_id="run", filter=EventFilter(types=["t"] * 65)),
        "filter.types",
    ),
    "unknown status": (
        "ListRuns",
        rpc.ListRunsRequest(filter=rpc.RunFilter(statuses=[99])),
        "filter.statuses[0]",
    ),
    "unspecified status": (
        "ListRuns",
        rpc.ListRunsRequest(filter=rpc.RunFilter(statuses=[0])),
        "filter.statuses[0]",
    ),
    "unknown order": ("ListRuns", rpc.ListRunsRequest(order=7), "order"),
    "foreign page token": ("ListRuns", rpc.ListRunsRequest(page_token="WzFd"), "page_token"),
    "broken page token": ("ListRuns", rpc.ListRunsRequest(page_token="%%%"), "page_token"),
    "unknown reason": ("PutSnapshot", snapshot(reason=42), "snapshot.reason"),
    "no snapshot": ("PutSnapshot", rpc.PutSnapshotRequest(run_id="run"), "snapshot"),
    "negative seq": ("PutSnapshot", snapshot(seq=-1), "snapshot.seq"),
    "another run": ("PutSnapshot", snapshot(run_id="other"), "snapshot.run_id"),
    "short ref": (
        "PutSnapshot",
        snapshot(state={"a": Payload(ref=b"x")}),
        'snapshot.state["a"].ref',
    ),
    "nameless part": (
        "PutSnapshot",
        snapshot(state={"": Payload(json="1")}),
        'snapshot.state[""]',
    ),
    "bad part": (
        "PutSnapshot",
        snapshot(state={"a": Payload(json="nil")}),
        'snapshot.state["a"].json',
    ),
    "repeated node": (
        "PutSnapshot",
        snapshot(nodes=[PlanNode(node_id="n"), PlanNode(node_id="n")]),
        "snapshot.nodes[1]",
    ),
    "metadata no object": (
        "PutSnapshot",
        snapshot(metadata=Payload(json="[]")),
        "snapshot.metadata",
    ),
    "a pending node that the snapshot lacks": (
        "PutSnapshot",
        snapshot(nodes=[PlanNode(node_id="a")], pending_node_ids=["a", "b"]),
        "snapshot.pending_node_ids[1]",
    ),
    "repeated task write": (
        "PutTaskWrites",
        rpc.PutTaskWritesRequest(run_id="run", writes=[TaskWrite(task_id="t")] * 2),
        "writes[1]",
    ),
    "index out of bounds": (
        "PutTaskWrites",
        rpc.PutTaskWritesRequest(run_id="run", writes=[TaskWrite(task_id="t", index=-1001)]),
        "writes[0].index",
    ),
    "namespace of too many characters": (
        "PutTaskWrites",
        rpc.PutTaskWritesRequest(
            run_id="run", namespace="n" * 401, writes=[TaskWrite(task_id="t")]
        ),
        "namespace",
    ),
    "namespace of too many bytes": (
        "GetSnapshot",
        rpc.GetSnapshotRequest(run_id="run", namespace="漢" * 334),
        "namespace",
    ),
    "no snapshot to delete": (
        "DeleteSnapshots",
        rpc.DeleteSnapshotsRequest(run_id="run"),
        "snapshot_ids",
    ),
    "too many snapshots to delete": (
        "DeleteSnapshots",
        rpc.DeleteSnapshotsRequest(run_id="run", snapshot_ids=["s"] * 1001),
        "snapshot_ids",
    ),
    "a snapshot to delete without a name": (
        "DeleteSnapshots",
        rpc.DeleteSnapshotsRequest(run_id="run", snapshot_ids=["s", ""]),
        "snapshot_ids[1]",
    ),
    "negative expected_seq of a resume": (
        "ResumeRun",
        rpc.ResumeRunRequest(run_id="run", expected_seq=-1),
        "expected_seq",
    ),
    "unknown outcome": (
        "CompleteRun",
        rpc.CompleteRunRequest(run_id="run", outcome=9),
        "outcome",
    ),
    "ref in an output": (
        "CompleteRun",
        rpc.CompleteRunRequest(
            run_id="run", outcome=1, output=Output(payload=Payload(ref=b"x" * 32))
        ),
        "output.payload.ref",
    ),
    "before without run": ("ListSnapshots", rpc.ListSnapshotsRequest(before="s"), "before"),
    "external ref without id": (
        "SaveRun",
        rpc.SaveRunRequest(external_ref=ExternalRef(system="s")),
        "external_ref.id",
    ),
    "oversize objective": ("SaveRun", rpc.SaveRunRequest(objective="x" * 100_001), "objective"),
    "oversize label": ("SaveRun", rpc.SaveRunRequest(labels={"k": "x" * 1001}), 'labels["k"]'),
    "oversize project": ("SaveRun", rpc.SaveRunRequest(project="x" * 201), "project"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_broken_rule_is_named_by_its_field(stub, run_id, project, name: str) -> None:
    method, request, field = BAD[name]
    if not request.project:
        request.project = project

    error = await refusal(getattr(stub, method)(request))

    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert field in [path for path, _ in error.violations]
    run = (await stub.GetRun(rpc.GetRunRequest(project=project, run_id=run_id))).run
    assert run.last_seq == 0


async def test_every_violation_is_reported_up_to_a_bound(stub, run_id, project) -> None:
    request = rpc.AppendEventsRequest(
        project=project, run_id=run_id, events=[Event(type="") for _ in range(1000)]
    )

    error = await refusal(stub.AppendEvents(request))

    assert len(error.violations) == 50
    assert error.violations[49][0] == "events[49].type"


@pytest.mark.parametrize(
    ("method", "request_", "code", "reason"),
    [
        ("GetRun", rpc.GetRunRequest(run_id="nobody"), "NOT_FOUND", "RUN_NOT_FOUND"),
        (
            "AppendEvent",
            rpc.AppendEventRequest(run_id="nobody", event=Event(type="t")),
            "NOT_FOUND",
            "RUN_NOT_FOUND",
        ),
        ("PutSnapshot", snapshot(seq=1), "OUT_OF_RANGE", "SNAPSHOT_AHEAD"),
        (
            "PutSnapshot",
            snapshot(state={"a": Payload(ref=b"x" * 32)}),
            "FAILED_PRECONDITION",
            "UNKNOWN_REF",
        ),
        ("GetSnapshot", rpc.GetSnapshotRequest(run_id="run"), "NOT_FOUND", "SNAPSHOT_NOT_FOUND"),
        ("GetOutput", rpc.GetOutputRequest(run_id="run"), "NOT_FOUND", "OUTPUT_NOT_FOUND"),
        (
            "CompleteRun",
            rpc.CompleteRunRequest(run_id="run"),
            "INVALID_ARGUMENT",
            "OUTCOME_REQUIRED",
        ),
    ],
)
async def test_what_only_the_run_shows_to_be_wrong_has_its_own_reason(
    stub, run_id, project, method: str, request_: object, code: str, reason: str
) -> None:
    request_.project = project

    error = await refusal(getattr(stub, method)(request_))

    assert (error.code.name, error.reason) == (code, reason)


@pytest.mark.parametrize(
    "data",
    [b"\x12\x02\xff\xfe", b"\xff\xff\xff", b"\x0a\x05ab"],
    ids=["invalid UTF-8", "no message", "cut short"],
)
async def test_bytes_that_are_not_the_message_are_malformed(server_address, data: bytes) -> None:
    async with grpc.aio.insecure_channel(server_address) as channel:
        method = channel.unary_unary("/runstore.v1.RunService/GetRun")

        error = await refusal(method(data))

    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE")


async def test_a_request_above_the_limit_gets_the_limit_in_its_error(stub, run_id, project) -> None:
    big = event(payload=Payload(binary=b"x" * (16 << 20)))
    big.project = project

    error = await refusal(stub.AppendEvent(big))

    assert (error.code, error.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "MESSAGE_TOO_LARGE",
    )
    assert error.metadata["limit_bytes"] == str(16 << 20)


async def test_a_request_id_is_taken_from_the_caller_or_made(stub, project) -> None:
    request = rpc.GetRunRequest(project=project, run_id="nobody")
    for sent in ((("x-request-id", "mine"),), ()):
        with pytest.raises(grpc.RpcError) as caught:
            await stub.GetRun(request, metadata=sent)
        trailing = dict(caught.value.trailing_metadata())
        assert trailing["x-request-id"] == from_rpc(caught.value).request_id
        assert not sent or trailing["x-request-id"] == "mine"
