"""Payloads come back byte for byte, whichever way they went in and out."""

from hashlib import sha256

import pytest
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event
from runstore.v1.outputs_pb2 import OUTCOME_SUCCEEDED, Output
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.snapshots_pb2 import PlanNode, Snapshot, TaskWrite

CORPUS = {
    "key order": Payload(json='{"z":1,"a":2,"m":3}'),
    "duplicate keys": Payload(json='{"a":1,"a":2,"a":1}'),
    "white space": Payload(json=' \t\r\n{ "a" :\n[ 1 , 2 ] } \n'),
    "number spellings": Payload(json="[1.0,1.00,1e2,1E+2,-0,-0.0,0.1e-7]"),
    "huge exponent": Payload(json="[1e400,-1e400,1e-400]"),
    "19 digits": Payload(json="[9223372036854775808,1234567890123456789,-9223372036854775809]"),
    "5000 digits": Payload(json="9" * 5000),
    "escaped NUL": Payload(json='"\\u0000"'),
    "escaped NUL in a key": Payload(json='{"\\u0000":"a\\u0000b"}'),
    "lone surrogates": Payload(json='["\\ud800","\\udc00\\ud800","\\uD83D"]'),
    "escaped pair": Payload(json='"\\ud83d\\ude00 \\/ \\u00e9"'),
    "raw astral": Payload(json='"😀 é ü 漢字 \u2028\u2029"'),
    "empty object": Payload(json="{}"),
    "empty array": Payload(json="[]"),
    "null": Payload(json="null"),
    "scalar": Payload(json="true"),
    "512 levels": Payload(json="[" * 512 + "]" * 512),
    "10 MB string": Payload(json='"' + "x" * (10 << 20) + '"'),
    "every byte": Payload(binary=bytes(range(256)) * 3, content_type="application/octet-stream"),
    "empty bytes": Payload(binary=b""),
    "JSON as bytes": Payload(binary=b'{"a": not json', content_type="application/json"),
    "JSON with a type": Payload(json="1.0", content_type="application/json; charset=utf-8"),
}


@pytest.mark.parametrize("name", CORPUS)
async def test_a_payload_comes_back_as_it_was_sent(stub, project, name: str) -> None:
    payload = CORPUS[name]
    of_run = {"project": project, "run_id": "run"}
    await stub.SaveRun(rpc.SaveRunRequest(**of_run, plan=payload))
    await stub.AppendEvent(rpc.AppendEventRequest(**of_run, event=Event(type="t", payload=payload)))
    for snapshot in (
        Snapshot(snapshot_id="1", nodes=[PlanNode(node_id="n", state=payload)]),
        Snapshot(snapshot_id="2", state={"part": payload}),
    ):
        await stub.PutSnapshot(rpc.PutSnapshotRequest(**of_run, snapshot=snapshot))
    await stub.PutTaskWrites(
        rpc.PutTaskWritesRequest(
            **of_run, namespace="other", writes=[TaskWrite(task_id="t", payload=payload)]
        )
    )
    for output in (
        Output(payload=payload),
        Output(provenance=payload),
        Output(statistics=payload),
    ):
        await stub.CompleteRun(
            rpc.CompleteRunRequest(**of_run, outcome=OUTCOME_SUCCEEDED, output=output)
        )

    run = (await stub.GetRun(rpc.GetRunRequest(**of_run))).run
    listed = (await stub.ListEvents(rpc.ListEventsRequest(**of_run))).events[0]
    streamed = [
        event
        async for message in stub.StreamEvents(rpc.StreamEventsRequest(**of_run))
        for event in message.events.events
    ]
    snapshots = [
        (await stub.GetSnapshot(rpc.GetSnapshotRequest(**of_run, snapshot_id=each))).snapshot
        for each in "12"
    ]
    outputs = [
        (await stub.GetOutput(rpc.GetOutputRequest(**of_run, revision=each))).output
        for each in (1, 2, 3)
    ]
    verdict = await stub.VerifyRun(rpc.VerifyRunRequest(**of_run))
    for found in (
        run.plan,
        listed.payload,
        streamed[0].payload,
        snapshots[0].nodes[0].state,
        snapshots[1].state["part"],
        outputs[0].payload,
        outputs[1].provenance,
        outputs[2].statistics,
    ):
        assert found == payload
    assert verdict.verified


async def test_a_part_sent_by_its_hash_comes_back_whole(stub, project) -> None:
    of_run = {"project": project, "run_id": "run"}
    payload = Payload(json='{"b":1.0,"a":"\\u0000"}')
    await stub.SaveRun(rpc.SaveRunRequest(**of_run))
    await stub.PutSnapshot(
        rpc.PutSnapshotRequest(**of_run, snapshot=Snapshot(state={"a": payload}))
    )

    ref = Payload(ref=sha256(payload.json.encode()).digest())
    await stub.PutSnapshot(rpc.PutSnapshotRequest(**of_run, snapshot=Snapshot(state={"b": ref})))

    found = (await stub.GetSnapshot(rpc.GetSnapshotRequest(**of_run))).snapshot
    assert dict(found.state) == {"b": payload}
