"""A server that loses the first answer to everything, between a client and a real server.

The first request of each write is dropped as UNAVAILABLE, the second one is let through; they have
to be the same, byte for byte, with every id by which the server can recognise them. Each followed
stream is dropped before its first message, then after its first item, and has to continue after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from runstore.v1 import (
    admin_service_pb2,
    artifact_service_pb2,
    config_service_pb2,
    feed_service_pb2,
    run_service_pb2,
)

Rpc = tuple[str, MethodDescriptor]

RPCS: dict[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for module in (
        admin_service_pb2,
        artifact_service_pb2,
        config_service_pb2,
        feed_service_pb2,
        run_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
READ_VERBS = ("Get", "List", "Preview", "Read", "Replay", "Search", "Verify", "WhoAmI")
# Calls that carry appends of single events, each of which is repeated by itself.
APPENDS = frozenset({"AppendEvent", "AppendMany"})
IDS = frozenset({"event_id", "fork_run_id", "request_id", "run_id"})
# The request names the run, or what the run is called is not its own to make.
NO_IDS = {("Snapshot", "run_id"), ("PlaceHoldRequest", "run_id")}


@dataclass(frozen=True, slots=True)
class Followed:
    """How a response is cut to its first item, and what the next request has to ask for."""

    cut: Callable[[Any], bool]
    next_request: Callable[[Any], dict[str, Any]]


def _one_event(response: run_service_pb2.StreamEventsResponse) -> bool:
    del response.events.events[1:]
    return bool(response.events.events)


def _one_entry(response: feed_service_pb2.FollowFeedResponse) -> bool:
    del response.entries.entries[1:]
    return bool(response.entries.entries)


def _one_byte(response: artifact_service_pb2.DownloadArtifactResponse) -> bool:
    response.chunk = response.chunk[:1]
    return bool(response.chunk)


FOLLOWED = {
    "StreamEvents": Followed(
        _one_event, lambda response: {"from_seq": response.events.events[0].seq + 1}
    ),
    "FollowFeed": Followed(
        _one_entry,
        lambda response: {
            "from_position": response.entries.entries[0].position + 1,
            "consumer": "",
        },
    ),
    "DownloadArtifact": Followed(_one_byte, lambda _: {"offset": 1}),
    "ExportRun": Followed(lambda _: False, lambda _: {}),  # it is begun again, and never continued
}


def is_write(method: MethodDescriptor) -> bool:
    return method.name not in FOLLOWED and not method.name.startswith(READ_VERBS)


def _id_paths(of: Descriptor, path: str) -> Iterator[str]:
    """The paths of the ids in messages of this type."""
    for field in of.fields:
        if (of.name, field.name) in NO_IDS:
            continue
        if field.name in IDS:
            yield path + field.name
        elif field.message_type:
            yield from _id_paths(field.message_type, f"{path}{field.name}.")


WRITES = frozenset(method.name for method in RPCS.values() if is_write(method))
ID_PATHS = frozenset(
    path
    for method in RPCS.values()
    if is_write(method)
    for path in _id_paths(method.input_type, f"{method.name}.")
)
"""Every id that a write can have, as `CompleteRun.events.event_id`."""


@asynccontextmanager
async def lossy_server(target: str) -> AsyncIterator[tuple[str, LossyServer]]:
    """Serve in front of `target`; yield the address of the lossy server, and the server."""
    async with grpc.aio.insecure_channel(target) as channel:
        lossy = LossyServer(channel)
        server = grpc.aio.server(handlers=[lossy])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}", lossy
        finally:
            await server.stop(0)


class LossyServer(grpc.GenericRpcHandler):
    """What a client did about its lost answers: what it repeated well, with which ids, and its
    faults.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._lost: dict[str, list[bytes]] = {}
        self._known_appends: set[bytes] = set()
        self._lost_appends: set[bytes] = set()
        self._expected: dict[str, dict[str, Any]] = {}
        self._faults: list[str] = []
        self.repeated: set[str] = set()
        self.ids: set[str] = set()

    @property
    def faults(self) -> Sequence[str]:
        """What was wrong so far, when every call has ended."""
        lost = [*self._lost, *("an append" for _ in self._lost_appends)]
        return [*self._faults, *(f"{name} was not sent again" for name in lost)]

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        method = RPCS.get(details.method)
        if method is None:
            return None
        rpc = details.method, method
        if method.client_streaming and method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(partial(self._stream, rpc))
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(partial(self._upload, rpc))
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(partial(self._follow, rpc))
        return grpc.unary_unary_rpc_method_handler(partial(self._call, rpc))

    async def _call(self, rpc: Rpc, request: bytes, context: Any) -> Any:
        if rpc[1].name in APPENDS:
            await self._lose_first_appends(rpc[1], request, context)
        elif is_write(rpc[1]):
            await self._lose_first(rpc, [request], context)
        return await _passed(self._channel.unary_unary(rpc[0])(request), context)

    async def _upload(self, rpc: Rpc, requests: AsyncIterator[bytes], context: Any) -> Any:
        sent = [request async for request in requests]
        await self._lose_first(rpc, sent, context)
        return await _passed(self._channel.stream_unary(rpc[0])(iter(sent)), context)

    async def _stream(
        self, rpc: Rpc, requests: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        first = await anext(requests)
        await self._lose_first(rpc, [first], context)

        call = self._channel.stream_stream(rpc[0])()

        async def pass_on() -> None:
            await call.write(first)
            async for request in requests:
                await call.write(request)
            await call.done_writing()

        passing = asyncio.create_task(pass_on())
        try:
            async for response in _all_passed(call, context):
                yield response
        finally:
            passing.cancel()
            await asyncio.wait([passing])

    async def _follow(self, rpc: Rpc, sent: bytes, context: Any) -> AsyncIterator[bytes]:
        path, method = rpc
        expected = self._expected.pop(method.name, None)
        if expected is None:
            await self._lose_first(rpc, [sent], context)
        else:
            self._compare(method, sent, expected)
        followed = FOLLOWED[method.name]
        async for response in _all_passed(self._channel.unary_stream(path)(sent), context):
            message = GetMessageClass(method.output_type).FromString(response)
            if expected is None and followed.cut(message):
                yield message.SerializeToString()
                self._expected[method.name] = followed.next_request(message)
                await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
            yield response

    async def _lose_first_appends(
        self, method: MethodDescriptor, sent: bytes, context: Any
    ) -> None:
        """Drop the call, unless all its appends are repetitions: they may be grouped anew."""
        request: Any = _parsed(method, sent)
        appends = request.appends if method.name == "AppendMany" else [request]
        written = {each.SerializeToString(deterministic=True) for each in appends}
        if not written <= self._known_appends:
            self._lost_appends |= written - self._known_appends
            self._known_appends |= written
            await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
        self._check_ids(method, sent)
        self._lost_appends -= written
        self.repeated.add(method.name)

    async def _lose_first(self, rpc: Rpc, sent: list[bytes], context: Any) -> None:
        """Drop the call, unless it is the repetition of a dropped one."""
        method = rpc[1]
        lost = self._lost.pop(method.name, None)
        if lost is None:
            self._lost[method.name] = sent
            await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
        elif lost != sent:
            self._faults.append(f"{method.name} was sent again with other bytes")
        else:
            self.repeated.add(method.name)
            if is_write(method):
                self._check_ids(method, sent[0])

    def _check_ids(self, method: MethodDescriptor, sent: bytes) -> None:
        for path, value in _ids(_parsed(method, sent), f"{method.name}."):
            self.ids.add(path)
            if not value:
                self._faults.append(f"{path} is not set")

    def _compare(self, method: MethodDescriptor, sent: bytes, expected: dict[str, Any]) -> None:
        request = _parsed(method, sent)
        asked = {name: getattr(request, name) for name in expected}
        if asked != expected:
            self._faults.append(f"{method.name} continued with {asked}, not {expected}")


def _parsed(method: MethodDescriptor, sent: bytes) -> Message:
    return GetMessageClass(method.input_type).FromString(sent)


def _ids(message: Any, path: str) -> Iterator[tuple[str, str]]:
    """The path and the value of each id that a message has to have."""
    of = message.DESCRIPTOR.name
    # A put is recognised by its snapshot's id too.
    is_named = of == "PutSnapshotRequest" and message.snapshot.snapshot_id
    for name in IDS & set(message.DESCRIPTOR.fields_by_name):
        if (of, name) not in NO_IDS and not (is_named and name == "request_id"):
            yield path + name, getattr(message, name)
    for field, value in message.ListFields():
        if field.message_type and not field.message_type.GetOptions().map_entry:
            for each in value if field.is_repeated else [value]:
                yield from _ids(each, f"{path}{field.name}.")


async def _passed(call: Any, context: Any) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        await _fail(error, context)


async def _all_passed(call: Any, context: Any) -> AsyncIterator[bytes]:
    try:
        async for response in call:
            yield response
    except grpc.aio.AioRpcError as error:
        await _fail(error, context)


async def _fail(error: grpc.aio.AioRpcError, context: Any) -> None:
    context.set_trailing_metadata(tuple(error.trailing_metadata() or ()))
    await context.abort(error.code(), error.details() or "")
