"""Every number of a request at the end of its range is answered, never with a defect."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
import runstore
from google.protobuf import json_format
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from runstore.v1 import (
    artifact_service_pb2,
    config_service_pb2,
    feed_service_pb2,
    run_service_pb2,
)

LARGEST = 2**63 - 1
RUN = {"run_id": "run"}
CONFIG = {"kind": "prompt", "name": "greeting"}
EVENT = {"event": {"type": "a"}}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("GetRun", RUN),
    ("AppendEvent", RUN | EVENT | {"expected_seq": LARGEST}),
    ("AppendEvent", RUN | EVENT | {"writer_epoch": LARGEST}),
    ("ListEvents", RUN | {"from_seq": LARGEST}),
    ("StreamEvents", RUN | {"from_seq": LARGEST}),
    ("PutSnapshot", RUN | {"snapshot": {"snapshot_id": "s", "seq": LARGEST}}),
    ("PutSnapshot", RUN | {"snapshot": {"snapshot_id": "t"}, "expected_seq": LARGEST}),
    ("GetSnapshot", RUN | {"at_seq": LARGEST}),
    ("DeleteSnapshots", RUN | {"snapshot_ids": ["s"], "writer_epoch": LARGEST}),
    ("ResumeRun", RUN | {"request_id": "r", "expected_seq": LARGEST}),
    ("CompleteRun", RUN | {"outcome": "OUTCOME_FAILED", "expected_seq": LARGEST}),
    ("CompleteRun", RUN | {"outcome": "OUTCOME_FAILED", "writer_epoch": LARGEST}),
    ("GetOutput", RUN | {"revision": 2**31 - 1}),
    ("VerifyRun", RUN | {"from_seq": LARGEST}),
    ("ReplayRun", RUN | {"at_seq": LARGEST}),
    ("ForkRun", RUN | {"at_seq": LARGEST}),
    ("GetStatistics", {"min_position": LARGEST, "wait": "0s"}),
    ("ReadFeed", {"from_position": LARGEST}),
    ("FollowFeed", {"from_position": LARGEST}),
    ("CommitPosition", {"consumer": "c", "position": LARGEST}),
    ("ResetConsumer", {"consumer": "c", "position": LARGEST}),
    ("GetVersion", CONFIG | {"version": LARGEST}),
    ("SetLabel", CONFIG | {"label": "l", "version": LARGEST}),
    ("SetLabel", CONFIG | {"label": "l", "version": 1, "expected_version": LARGEST}),
    ("RemoveLabel", CONFIG | {"label": "l", "expected_version": LARGEST}),
    ("GetArtifact", RUN | {"name": "a", "version": LARGEST}),
    ("DownloadArtifact", RUN | {"name": "a", "offset": LARGEST, "length": LARGEST}),
]
SERVICES: list[ServiceDescriptor] = [
    service
    for module in (
        artifact_service_pb2,
        config_service_pb2,
        feed_service_pb2,
        run_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
]


@pytest.mark.parametrize(("name", "request_"), REQUESTS)
async def test_it_is_answered_with_a_reason_at_most(
    server_address: str,
    client: runstore.AsyncClient,
    project: str,
    name: str,
    request_: dict[str, Any],
) -> None:
    run = await client.save_run(run_id="run")
    await run.append("a")
    await client.configs.register("prompt", "greeting", "hello", labels=["l"])
    await client.artifacts.upload("run", "a", b"bytes")
    (method,) = (method for each in SERVICES for method in each.methods if method.name == name)
    request = GetMessageClass(method.input_type)()
    json_format.ParseDict(request_ | {"project": project}, request)

    async with grpc.aio.insecure_channel(server_address) as channel:
        made = (channel.unary_stream if method.server_streaming else channel.unary_unary)(
            f"/{method.containing_service.full_name}/{name}",
            type(request).SerializeToString,
            GetMessageClass(method.output_type).FromString,
        )(request)
        failure = await refused(made.read() if method.server_streaming else made)
        made.cancel()

    assert failure is None or (
        failure.code() not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
        and runstore.errors.from_rpc(failure).reason
    )


async def refused(answer: Awaitable[object]) -> grpc.aio.AioRpcError | None:
    """What a call is refused with."""
    try:
        await answer
    except grpc.aio.AioRpcError as error:
        return error
    return None
