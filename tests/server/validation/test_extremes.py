"""A request within its bounds is accepted and reads back: at each bound, with wide characters."""

import random

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from runstore.errors import from_rpc
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.snapshots_pb2 import Snapshot, TaskWrite
from runstore_server.validation.bounds import Entries, Integer, Items, Seconds, Text
from runstore_server.validation.json_texts import MAX_JSON_DEPTH
from runstore_server.validation.requests import NO_RULES, RULES
from runstore_server.validation.times import MAX_TIMESTAMP, MIN_TIMESTAMP, NANOS
from structlog.testing import capture_logs

MICROSECOND = 1000
# Refused by what the run is, not by a bound; the run's own names are set by the test.
LEFT_OUT = {"expected_seq", "writer_epoch", "page_token", "before", "parent_run_id", "seq"}
OF_THE_RUN = {"project", "run_id"}
ANSWERS = {"OK", "SNAPSHOT_NOT_FOUND", "OUTPUT_NOT_FOUND"}
CALLS = [
    "ListRuns",
    "AppendEvent",
    "AppendEvents",
    "ListEvents",
    "PutSnapshot",
    "PutTaskWrites",
    "GetSnapshot",
    "ListSnapshots",
    "DeleteSnapshots",
    "ResumeRun",
    "VerifyRun",
    "CompleteRun",
    "GetOutput",
    "GetRun",
]
# Beyond the basic plane a character takes four bytes, and at random they cannot be compressed.
_chance = random.Random(7)


def wide(length: int) -> str:
    return "".join(chr(_chance.randrange(0x10000, 0x2FA20)) for _ in range(length))


def filled(message: Message, *, high: bool) -> Message:
    """The message with every field at its upper or lower bound."""
    for field in message.DESCRIPTOR.fields:
        rule = RULES.get(message.DESCRIPTOR.name, NO_RULES).bounds.get(field.name)
        if field.name in LEFT_OUT | OF_THE_RUN:
            continue
        if isinstance(rule, Text):
            widest = min(rule.high, (rule.most_bytes or 4 * rule.high) // 4)
            setattr(message, field.name, wide(widest if high else rule.low))
        elif isinstance(rule, Integer):
            setattr(message, field.name, rule.high if high else rule.low)
        elif isinstance(rule, Seconds):
            whole, part = divmod(round((rule.high if high else rule.low) * NANOS), NANOS)
            getattr(message, field.name).seconds = whole
            getattr(message, field.name).nanos = part
        elif isinstance(rule, Entries):
            fill_entries(getattr(message, field.name), rule, high=high)
        elif isinstance(rule, Items):
            fill_items(getattr(message, field.name), rule, high=high)
        elif field.message_type and not field.is_repeated:
            fill_message(getattr(message, field.name), high=high)
    return message


def fill_entries(entries: object, rule: Entries, *, high: bool) -> None:
    for _ in range(min(rule.high, 64) if high else 0):
        if rule.values:
            entries[wide(rule.keys.high)] = wide(rule.values.high)
        else:
            entries[wide(rule.keys.high)].json = "1"


def fill_items(items: object, rule: Items, *, high: bool) -> None:
    if rule.each:
        items.extend(wide(rule.each.high) for _ in range(min(rule.high, 64) if high else 0))
    elif hasattr(items, "add"):
        filled(items.add(), high=high)


def fill_message(message: Message, *, high: bool) -> None:
    if isinstance(message, Payload):
        message.json = '{"a":1}'
        message.content_type = wide(200) if high else ""
    elif isinstance(message, Timestamp):
        # The outermost microseconds have a test of their own below.
        message.seconds = MAX_TIMESTAMP if high else MIN_TIMESTAMP
        message.nanos = NANOS - 2 * MICROSECOND if high else MICROSECOND
    else:
        filled(message, high=high).SetInParent()
        if isinstance(message, Snapshot):
            message.pending_node_ids[:] = [node.node_id for node in message.nodes]


def request_of(method: str, names: dict[str, str], *, high: bool) -> Message:
    request = filled(getattr(rpc, f"{method}Request")(), high=high)
    for name in OF_THE_RUN & set(request.DESCRIPTOR.fields_by_name):
        setattr(request, name, names[name])
    if method == "SaveRun":
        request.ClearField("completion")
        for ref in request.config_refs:  # what no config of the project contradicts
            ref.label, ref.version, ref.digest = "", ref.version or 1, ref.digest or "d"
    if method == "DeleteSnapshots":
        request.snapshot_ids[:] = request.snapshot_ids or ["s"]
    if method == "CompleteRun":
        request.outcome = 1
    for write in getattr(request, "writes", ()) or getattr(request, "task_writes", ()):
        write.snapshot_id = ""
    return request


async def answer(call: object) -> str:
    try:
        await call
    except grpc.RpcError as error:
        return from_rpc(error).reason
    return "OK"


@pytest.mark.parametrize("high", [True, False], ids=["high", "low"])
async def test_every_request_is_served_at_its_bounds(stub, project, high) -> None:
    names = {
        "project": project.ljust(200, "p") if high else project,
        "run_id": wide(200 if high else 1),
    }
    assert await answer(stub.SaveRun(request_of("SaveRun", names, high=high))) == "OK"

    answers = {
        method: await answer(getattr(stub, method)(request_of(method, names, high=high)))
        for method in CALLS
    }

    assert {method: each for method, each in answers.items() if each not in ANSWERS} == {}
    events = [
        event
        async for message in stub.StreamEvents(rpc.StreamEventsRequest(**names))
        for event in message.events.events
    ]
    assert len(events) == 6  # one each by five RPCs, and the terminal one


@pytest.mark.parametrize("namespace", ["n" * 400, wide(250)], ids=["longest", "widest"])
async def test_snapshots_of_a_nested_graph_are_listed_page_by_page_and_deleted(
    stub, project, namespace
) -> None:
    of_run = {"project": project.ljust(200, "p"), "run_id": wide(200)}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    names = [wide(200) for _ in range(3)]
    for name in names:
        snapshot = Snapshot(namespace=namespace, snapshot_id=name)
        await stub.PutSnapshot(rpc.PutSnapshotRequest(**of_run, snapshot=snapshot))
        write = TaskWrite(snapshot_id=name, task_id=wide(200))
        writes = {"namespace": namespace, "writes": [write]}
        await stub.PutTaskWrites(rpc.PutTaskWritesRequest(**of_run, **writes))

    asked = rpc.ListSnapshotsRequest(**of_run, namespace=namespace, limit=1)
    listed = []
    while True:
        page = await stub.ListSnapshots(asked)
        listed += [each.snapshot_id for each in page.snapshots]
        asked.page_token = page.next_page_token
        if not asked.page_token:
            break
    deleted = await stub.DeleteSnapshots(
        rpc.DeleteSnapshotsRequest(**of_run, namespace=namespace, snapshot_ids=names)
    )

    assert listed == sorted(names, reverse=True)
    assert (deleted.deleted_snapshots, deleted.deleted_task_writes) == (3, 3)


async def test_seqs_at_the_bound_are_beyond_every_end(stub, project) -> None:
    of_run, last = {"project": project, "run_id": "run"}, 2**63 - 1
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    guarded = {"expected_seq": last, "writer_epoch": last}

    answers = [
        await answer(stub.ListEvents(rpc.ListEventsRequest(**of_run, from_seq=last))),
        await answer(stub.VerifyRun(rpc.VerifyRunRequest(**of_run, from_seq=last))),
        await answer(stub.GetSnapshot(rpc.GetSnapshotRequest(**of_run, at_seq=last))),
        await answer(
            stub.PutSnapshot(rpc.PutSnapshotRequest(**of_run, snapshot=Snapshot(seq=last)))
        ),
        await answer(
            stub.AppendEvent(rpc.AppendEventRequest(**of_run, **guarded, event=Event(type="t")))
        ),
    ]

    assert answers == ["OK", "OK", "SNAPSHOT_NOT_FOUND", "SNAPSHOT_AHEAD", "WRITER_EPOCH_UNKNOWN"]
    stream = stub.StreamEvents(rpc.StreamEventsRequest(**of_run, from_seq=last))
    assert [message.WhichOneof("message") async for message in stream] == ["caught_up"]


@pytest.mark.parametrize("name", ["漢" * 200, "\x01" * 200, "'\"\\" * 60])
async def test_a_refusal_reaches_the_client_however_long_the_names_are(stub, name) -> None:
    request = rpc.GetRunRequest(run_id=name)

    assert await answer(stub.GetRun(request)) == "RUN_NOT_FOUND"
    labels = {f"{number:02}{name}"[:200]: "v" * 1001 for number in range(50)}
    assert await answer(stub.SaveRun(rpc.SaveRunRequest(labels=labels))) == "INVALID_REQUEST"


@pytest.mark.parametrize(
    "at",
    [
        Timestamp(seconds=MIN_TIMESTAMP),  # the zero time of Go
        Timestamp(seconds=MAX_TIMESTAMP, nanos=NANOS - MICROSECOND),
    ],
    ids=["first", "last"],
)
async def test_the_outermost_instants_come_back(stub, project, at) -> None:
    of_run = {"project": project, "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    event = Event(type="t", occurred_at=at)
    await stub.AppendEvent(rpc.AppendEventRequest(**of_run, event=event))

    with capture_logs():
        listed = await stub.ListEvents(rpc.ListEventsRequest(**of_run))
        verdict = await stub.VerifyRun(rpc.VerifyRunRequest(**of_run))

    assert listed.events[0].occurred_at == at
    assert verdict.verified


async def test_metadata_may_nest_as_deep_as_any_json(stub, project) -> None:
    of_run = {"project": project, "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    deep = MAX_JSON_DEPTH - 1
    snapshot = Snapshot(metadata=Payload(json='{"a":' + "[" * deep + "]" * deep + "}"))

    with capture_logs():
        put = await answer(stub.PutSnapshot(rpc.PutSnapshotRequest(**of_run, snapshot=snapshot)))

    assert put == "OK"


async def test_a_project_may_be_named_in_any_script(stub, project) -> None:
    of_run = {"project": f"{project}/Käufe:日本.1_@+~-٣", "run_id": "run"}

    await stub.SaveRun(rpc.SaveRunRequest(**of_run))

    assert (await stub.GetRun(rpc.GetRunRequest(**of_run))).run.run_id == "run"
