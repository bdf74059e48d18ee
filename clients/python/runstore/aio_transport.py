"""What asynchronous gRPC does in its own way; `sync_transport` is its twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import grpc
from google.protobuf.message import Message

from runstore.aio_appender import Appender
from runstore.channels import OPTIONS
from runstore.errors import silence

__all__ = ["Appender", "messages", "open_channel"]

Stream = grpc.aio.UnaryStreamCall[Any, Any]


def open_channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    if credentials:
        return grpc.aio.secure_channel(address, credentials, options=OPTIONS)
    return grpc.aio.insecure_channel(address, options=OPTIONS)


async def messages(call: Stream, silence_seconds: float) -> AsyncGenerator[Message]:
    """Yield what the stream brings; raise `Unavailable` when it is silent for too long."""
    while True:
        try:
            message = await asyncio.wait_for(call.read(), silence_seconds)
        except TimeoutError:
            raise silence(silence_seconds) from None
        if not isinstance(message, Message):  # grpc.aio.EOF
            return
        yield message
