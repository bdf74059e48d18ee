"""Payloads are in the answers byte for byte."""

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest
import runstore
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event
from runstore.v1.outputs_pb2 import OUTCOME_SUCCEEDED, Output
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.snapshots_pb2 import PlanNode, Snapshot, TaskWrite
from server.services.test_payload_bytes import CORPUS
from sse_client import opened

RUN = "/api/v1/runs/run"
CARRIAGE_RETURNS = {
    "CR": '{\r"a":1}',
    "CRLF": '\r\n{"a"\r\n:1}\r\n',
    "LF": '{\n"a":\n\n1\n}\n',
    "all": '\n\r\r\n\n\r[\n\n"\\r\\n",\r\r1.0 ]\n ',
}


def member(name: str, payload: Payload) -> bytes:
    """How a payload must stand in an answer."""
    kind = payload.content_type.encode()
    if payload.WhichOneof("content") == "json":
        content = b'"json":' + payload.json.encode()
    else:
        content = b'"base64":"' + b64encode(payload.binary) + b'"'
    return b'"' + name.encode() + b'":{' + content + b',"content_type":"' + kind + b'"}'


async def record(stub, of_run: dict[str, str], payload: Payload) -> None:
    """A run that has the payload wherever one can be."""
    await stub.SaveRun(rpc.SaveRunRequest(**of_run, plan=payload))
    await stub.AppendEvent(rpc.AppendEventRequest(**of_run, event=Event(type="t", payload=payload)))
    known = Payload(ref=sha256(payload.binary or payload.json.encode()).digest())
    for snapshot in (
        Snapshot(state={"part": payload}),
        Snapshot(
            snapshot_id="s",
            nodes=[PlanNode(node_id="n", state=known, provenance=known)],
            state={"part": known},
        ),
    ):
        await stub.PutSnapshot(rpc.PutSnapshotRequest(**of_run, snapshot=snapshot))
    write = TaskWrite(task_id="t", snapshot_id="s", payload=payload)
    await stub.PutTaskWrites(rpc.PutTaskWritesRequest(**of_run, writes=[write]))
    for output in (Output(payload=payload), Output(provenance=payload)):
        await stub.CompleteRun(
            rpc.CompleteRunRequest(**of_run, outcome=OUTCOME_SUCCEEDED, output=output)
        )


@pytest.mark.parametrize("name", CORPUS)
async def test_a_payload_stands_in_the_answers_as_it_was_sent(http, stub, project, name) -> None:
    payload = CORPUS[name]
    await record(stub, {"project": project, "run_id": "run"}, payload)

    run = (await http.get(RUN)).content
    events = (await http.get(f"{RUN}/events")).content
    snapshot = (await http.get(f"{RUN}/snapshots/s")).content
    first = (await http.get(f"{RUN}/output", params={"revision": 1})).content
    second = (await http.get(f"{RUN}/output", params={"revision": 2})).content

    assert member("plan", payload) in run
    assert member("plan_result", payload) in run
    assert member("provenance", payload) in run
    assert member("payload", payload) in events
    for part in ("state", "provenance", "part", "payload"):
        assert member(part, payload) in snapshot
    assert member("payload", payload) in first
    assert member("provenance", payload) in second


@pytest.mark.parametrize("name", CORPUS)
async def test_a_payload_is_streamed_as_it_was_sent(http, stub, project, name) -> None:
    payload = CORPUS[name]
    await record(stub, {"project": project, "run_id": "run"}, payload)

    async with opened(http, f"{RUN}/events") as stream:
        message = await stream.next()

    if "\r" in payload.json:
        assert b64decode(message.value["payload"]["json_base64"]) == payload.json.encode()
    else:
        assert member("payload", payload) in message.data.encode()


@pytest.mark.parametrize("name", CARRIAGE_RETURNS)
async def test_line_breaks_in_a_payload_survive_a_stream(http, client, name) -> None:
    text = CARRIAGE_RETURNS[name]
    run = await client.save_run(run_id="run")
    await run.append("t", runstore.Payload(text))

    async with opened(http, f"{RUN}/events") as stream:
        message = await stream.next()

    given = message.value["payload"]
    assert ("json_base64" in given) == ("\r" in text)
    assert f'"json":{text.replace(chr(13), " ")},' in message.data
    if "\r" in text:
        assert b64decode(given["json_base64"]).decode() == text
