"""What differs between asynchronous and synchronous gRPC; `sync.transport` is its twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.message import Message

from runstore.channels import options_of
from runstore.errors import silence
from runstore.streams.artifacts import pieces
from runstore.targets import address_of
from runstore.tokens import Metadata
from runstore.v1 import artifact_service_pb2 as rpc
from runstore.values.artifacts import Data

T = TypeVar("T")
DataT = TypeVar("DataT")

Stream = grpc.aio.UnaryStreamCall[Any, Any]
# Gives the next request of a stream, None after the last. No generator, as Python cannot close one
# that is waiting: a coroutine that is dropped meanwhile would fail.
Requests = Callable[[], Awaitable[Message | None]]


def open_channel(target: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    address, options = address_of(target), options_of(target)
    if credentials:
        return grpc.aio.secure_channel(address, credentials, options=options)
    return grpc.aio.insecure_channel(address, options=options)


async def is_unreachable(channel: grpc.aio.Channel) -> bool:
    """Whether the last attempt to connect has failed."""
    return channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE


async def messages(call: Stream, silence_seconds: float) -> AsyncGenerator[Message]:
    """Yield the stream's messages; raise `Unavailable` if it is silent for too long."""
    while True:
        try:
            async with asyncio.timeout(silence_seconds):
                message = await call.read()
        except TimeoutError:
            raise silence(silence_seconds) from None
        if not isinstance(message, Message):  # grpc.aio.EOF
            return
        yield message


async def send_all(method: Any, requests: Requests, metadata: Metadata) -> Any:
    """Send a stream of requests; the response may arrive before all of them are sent."""
    call = method(metadata=metadata)
    ends: list[grpc.aio.AioRpcError] = []
    call.add_done_callback(lambda _: ends.append(_end_of(call)))
    try:
        while request := await requests():
            await call.write(request)
        await call.done_writing()
    except (grpc.RpcError, asyncio.InvalidStateError):
        pass  # already over; the response says how
    except BaseException:
        call.cancel()
        raise
    try:
        return await call
    except grpc.aio.AioRpcError as last:
        # A write that fails as the call ends gives it a status too, before or after the server's.
        is_of_write = last.code() is grpc.StatusCode.INTERNAL and not last.trailing_metadata()
        raise (ends[0] if is_of_write and ends else last) from None


def _end_of(call: Any) -> grpc.aio.AioRpcError:
    """What a call that is over ended with; nothing is waited for."""
    parts = call.code(), call.initial_metadata(), call.trailing_metadata(), call.details()
    return grpc.aio.AioRpcError(*map(_result, parts))


def _result(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    raise AssertionError("the call is not over")


async def run_blocking(work: Callable[[DataT], T], data: DataT) -> T:
    """Do work that keeps a processor or a disk busy, in a thread beside the event loop."""
    return await asyncio.to_thread(work, data)


def upload_requests(first: Message, data: Data) -> Requests:
    """The requests of an upload: the first, then the data in pieces small enough to send."""
    waiting, read = [first], _reader(data)

    async def request() -> Message | None:
        if waiting:
            return waiting.pop()
        piece = await read()
        return rpc.UploadArtifactRequest(chunk=piece) if piece else None

    return request


def _reader(data: Data) -> Callable[[], Awaitable[bytes]]:
    """Reads the next piece of the data, and nothing after the last one."""
    if not isinstance(data, AsyncIterable):
        ready = pieces(data)
        return lambda: asyncio.to_thread(next, ready, b"")
    chunks = aiter(data)
    left: Iterator[bytes] = iter(())

    async def read() -> bytes:
        nonlocal left
        while not (piece := next(left, b"")):
            try:
                left = pieces(await anext(chunks))
            except StopAsyncIteration:
                return b""
        return piece

    return read
