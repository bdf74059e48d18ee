"""Every method of both clients sends everything that it is given, in the fields of its names."""

from __future__ import annotations

import asyncio
import sys
import typing
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from inspect import getmembers, isasyncgen, isfunction
from pathlib import Path
from typing import Any

import grpc
import pytest
import runstore
from clients.filled import given, unset
from clients.test_wire import NOT_SENT, SENT_AS, texts_in
from google.protobuf.message_factory import GetMessageClass

sys.path.insert(0, str(Path(__file__).parents[2] / "clients" / "conformance"))

from lossy import RPCS

NOUNS = ("Client", "Run", "Feed", "Configs", "Artifacts", "Admin")
NO_CALLS = {"appender", "close", "health", "run"}
METHODS = [
    f"{noun}.{method}"
    for noun in NOUNS
    for method, _ in getmembers(getattr(runstore, f"Async{noun}"), isfunction)
    if not method.startswith("_") and method not in NO_CALLS
]
# The fields that a method has no argument for.
NOT_TAKEN = {
    "Admin.create_token": {"CreateTokenRequest.project"},  # what is of the server has none
    "Admin.records": {"ListAdminRecordsRequest.project"},
    "Admin.revoke_token": {"RevokeTokenRequest.project"},
    "Admin.tokens": {"ListTokensRequest.project"},
    "Admin.verify_records": {"VerifyAdminRecordsRequest.project"},
    "Client.list_snapshots": {
        f"ListSnapshotsRequest.{name}" for name in ("limit", "namespace", "run_id")
    },
    "Feed.entries": {"FollowFeedRequest.consumer"},  # there is a position
    "Feed.follow": {"FollowFeedRequest.consumer"},
    "Run.list_snapshots": {"ListSnapshotsRequest.limit"},
}
# The arguments beside which no others may be given.
ALONE = {
    "Admin.place_hold": {"reason", "filter"},
    "Configs.get": {"kind", "name", "label"},
    "Run.get_snapshot": {"snapshot_id", "namespace"},
}
SENT_BY_METHODS_AS = {("event", "type"), ("name", "consumer")}
HANDLERS: dict[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
}


class Recorder(grpc.GenericRpcHandler):
    """A server that keeps the first request of each call, and serves none."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        rpc = RPCS[details.method]

        async def refuse(sent: Any, context: Any) -> None:
            data = await anext(sent) if rpc.client_streaming else sent
            self.requests.append(GetMessageClass(rpc.input_type).FromString(data))
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "recorded")

        return HANDLERS[rpc.client_streaming, rpc.server_streaming](refuse)


@pytest.fixture
async def recorder() -> AsyncIterator[tuple[str, Recorder]]:
    handler = Recorder()
    server = grpc.aio.server(handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}", handler
    await server.stop(0)


def called(client: Any, name: str) -> Any:
    """The result of a method that is given a value for each of its arguments."""
    noun, _, method = name.partition(".")
    owner = {"Client": client, "Run": client.run("run_id", writer_epoch=1)}.get(noun)
    function = getattr(owner or getattr(client, noun.lower()), method)
    found: dict[str, Any] = {}
    for argument, hint in typing.get_type_hints(function).items():
        if typing.get_origin(hint) is typing.Unpack:
            found |= given(typing.get_args(hint)[0], argument)
        elif argument not in {"return", "on_progress"}:
            found[argument] = given(hint, argument)
    return function(**{each: found[each] for each in ALONE.get(name, found)})


async def call_async(address: str, name: str) -> None:
    async with runstore.connect(address, project="project") as client:
        result = called(client, name)
        await (anext(result) if isasyncgen(result) else result)


async def call_sync(address: str, name: str) -> None:
    def call() -> None:
        with runstore.Client(address, project="project") as client:
            next(called(client, name))

    await asyncio.to_thread(call)


@pytest.mark.parametrize("call", [call_async, call_sync], ids=["async", "sync"])
@pytest.mark.parametrize("name", METHODS)
async def test_a_method_sends_everything_it_is_given(
    recorder: tuple[str, Recorder], name: str, call: Callable[[str, str], Any]
) -> None:
    address, server = recorder

    with pytest.raises(runstore.RunstoreError, match="recorded"):
        await call(address, name)

    (request,) = server.requests
    missing = {field for field in unset(request) if not field.endswith(".page_token")}
    mixed_up = {(text, field) for text, field in texts_in(request) if text != field}
    assert missing - NOT_SENT == NOT_TAKEN.get(name, set())
    assert mixed_up <= SENT_AS | SENT_BY_METHODS_AS


@pytest.mark.parametrize(
    ("data", "digest", "size"),
    [(b"data", sha256(b"data").digest(), 4), (iter([b"da", b"ta"]), b"", None)],
    ids=["bytes", "chunks"],
)
async def test_an_upload_announces_bytes_that_are_known(
    recorder: tuple[str, Recorder], data: Any, digest: bytes, size: int | None
) -> None:
    address, server = recorder

    async with runstore.connect(address) as client:
        with pytest.raises(runstore.RunstoreError, match="recorded"):
            await client.artifacts.upload("run", "name", data)

    (request,) = server.requests
    assert request.header.sha256 == digest
    assert (request.header.size if request.header.HasField("size") else None) == size
