"""What differs between asynchronous and synchronous gRPC; `sync.transport` is its twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from runstore.channels import OPTIONS, Metadata
from runstore.errors import silence
from runstore.streams.artifacts import pieces
from runstore.values.artifacts import Data

T = TypeVar("T")
DataT = TypeVar("DataT")

Stream = grpc.aio.UnaryStreamCall[Any, Any]


def open_channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    if credentials:
        return grpc.aio.secure_channel(address, credentials, options=OPTIONS)
    return grpc.aio.insecure_channel(address, options=OPTIONS)


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


async def send_all(method: Any, requests: AsyncGenerator[Message], metadata: Metadata) -> Any:
    """Send a stream of requests; the response may arrive before all of them are sent."""
    call = method(metadata=metadata)
    try:
        async with aclosing(requests):
            async for request in requests:
                await call.write(request)
            await call.done_writing()
    except (grpc.RpcError, asyncio.InvalidStateError):
        return await call  # already over; the response says how
    except BaseException:
        call.cancel()
        raise
    return await call


async def run_blocking(work: Callable[[DataT], T], data: DataT) -> T:
    """Do work that keeps a processor or a disk busy, in a thread beside the event loop."""
    return await asyncio.to_thread(work, data)


async def chunks(data: Data) -> AsyncGenerator[bytes]:
    """The data in pieces small enough to send."""
    if isinstance(data, AsyncIterable):
        async for chunk in data:
            for piece in pieces(chunk):
                yield piece
        return
    ready = pieces(data)
    while piece := await asyncio.to_thread(next, ready, b""):
        yield piece
