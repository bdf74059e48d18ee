"""What holds for every RPC of every service; they are read from the contracts."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import runstore
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from runstore import NewEvent, Policy
from runstore.errors import RunstoreError, from_rpc, from_status
from runstore.v1.run_service_pb2 import SaveRunRequest
from runstore.v1.statistics_pb2 import STATISTICS_DIMENSION_TYPE

sys.path.insert(0, str(Path(__file__).parents[3] / "clients" / "conformance"))

from lossy import RPCS

WRONG = "no project\n"
OF_PROJECTS = [path for path, rpc in RPCS.items() if rpc.name not in {"WhoAmI", "ListProjects"}]


def wrong_request(path: str) -> Message:
    """A request that names a project that there cannot be."""
    request: Any = GetMessageClass(RPCS[path].input_type)()
    named = {"UploadArtifact": "header", "AppendEventStream": "append"}.get(RPCS[path].name)
    (getattr(request, named) if named else request).project = WRONG
    return request


async def answer(channel: grpc.aio.Channel, path: str, request: Message) -> Any:
    """The first message with which the server answers a call."""
    rpc = RPCS[path]
    sizes = ("unary", "stream")
    open_call = getattr(channel, f"{sizes[rpc.client_streaming]}_{sizes[rpc.server_streaming]}")(
        path, response_deserializer=GetMessageClass(rpc.output_type).FromString
    )
    sent = request.SerializeToString()
    call = open_call(sent_once(sent) if rpc.client_streaming else sent, timeout=60)
    return await (call.read() if rpc.server_streaming else call)


async def refusal(channel: grpc.aio.Channel, path: str, request: Message) -> RunstoreError:
    """How the server refuses a call, or an append of a stream."""
    try:
        return from_status((await answer(channel, path, request)).error)
    except grpc.RpcError as error:
        return from_rpc(error)


async def sent_once(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize("path", OF_PROJECTS, ids=lambda path: RPCS[path].name)
async def test_no_rpc_takes_what_breaks_a_rule(server_address: str, path: str) -> None:
    async with grpc.aio.insecure_channel(server_address) as channel:
        refused = await refusal(channel, path, wrong_request(path))

    assert refused.reason == "INVALID_REQUEST"
    assert refused.violations[0][0].rpartition(".")[2] == "project"


AFTER = {"run_id": "r0", "seq": 3}
OF_CONFIG = {"kind": "prompt", "name": "c0"}
# What each listing is asked for, and the field with its items.
LISTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "GetStatistics": ({"group_by": [STATISTICS_DIMENSION_TYPE], "after": AFTER}, "rows"),
    "ListAdminRecords": ({}, "records"),
    "ListArtifacts": ({"run_id": "r0"}, "artifacts"),
    "ListConfigs": ({}, "configs"),
    "ListConsumers": ({}, "consumers"),
    "ListEvents": ({"run_id": "r0"}, "events"),
    "ListHolds": ({}, "holds"),
    "ListLabelMoves": (OF_CONFIG, "moves"),
    "ListPolicies": ({}, "policies"),
    "ListProjects": ({}, "projects"),
    "ListRemovals": ({}, "removals"),
    "ListRuns": ({}, "runs"),
    "ListSnapshots": ({"run_id": "r1"}, "snapshots"),
    "ListTokens": ({}, "tokens"),
    "ListVersions": (OF_CONFIG, "versions"),
    "ReadFeed": ({}, "entries"),
    "ReplayRun": ({"run_id": "r0"}, "events"),
    "ResumeRun": ({"run_id": "r0"}, "events"),
    "SearchEvents": ({"query": "fox", "after": AFTER}, "hits"),
}
SIZES = {
    path: name
    for path, rpc in RPCS.items()
    for name in ("limit", "page_size")
    if name in rpc.input_type.fields_by_name
}


async def three_of_everything(client: runstore.AsyncClient) -> None:
    runs = [await client.save_run(run_id=f"r{number}") for number in range(3)]
    await runs[0].append_many([NewEvent(f"t{number}", "fox") for number in range(3)])
    for number in range(3):
        await runs[1].snapshot(snapshot_id=f"s{number}")
        await client.artifacts.link("r0", f"a{number}", "https://example.com")
        await client.configs.register("prompt", f"c{number}", "body")
        await client.configs.register("prompt", "c0", f"body {number}")
        await client.configs.set_label("prompt", "c0", f"l{number}", 1)
        await client.feed.commit(f"consumer{number}", 0)
        await client.admin.create_token(f"t{number}", ["reader@a"])
        await client.admin.place_hold("why", run_id=f"r{number}")
        await client.admin.put_policy(Policy(f"p{number}", timedelta(days=1)), "why")
        gone = await client.save_run(run_id=f"gone{number}")
        await gone.complete(runstore.Outcome.SUCCEEDED)
        await client.admin.delete_run(gone.run_id, "why")
    async for _ in client.search("fox", after=("r0", 3)):
        pass  # the events are published


def test_every_listing_is_here() -> None:
    assert LISTINGS.keys() == {RPCS[path].name for path in SIZES}


async def test_a_page_is_as_long_as_it_is_asked_for(
    client: runstore.AsyncClient, server_address: str, project: str
) -> None:
    await three_of_everything(client)
    counts: dict[str, list[int]] = {}

    async with grpc.aio.insecure_channel(server_address) as channel:
        for number in range(3):
            other = SaveRunRequest(project=f"{project}/{number}")
            await answer(channel, "/runstore.v1.RunService/SaveRun", other)
        for path, size in SIZES.items():
            asked, items = LISTINGS[RPCS[path].name]
            for number in (2, 0):
                named = {"project": project} if path in OF_PROJECTS else {}
                request = GetMessageClass(RPCS[path].input_type)(**named, **asked, **{size: number})
                page = getattr(await answer(channel, path, request), items)
                counts.setdefault(RPCS[path].name, []).append(len(page))

    assert {name: count for name, count in counts.items() if count[0] != 2 or count[1] < 3} == {}
