"""What is known of a request before its RPC runs: its id, and whether it could be read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import uuid_utils
from google.protobuf.message import DecodeError, Message

from runstore_server.edge.errors import MalformedMessage, MessageTooLarge, RequestError

REQUEST_ID_KEY = "x-request-id"
MAX_REQUEST_ID = 200

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that the current task serves."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a request whose bytes were refused; its RPC raises the error."""

    error: RequestError


def reader(decode: Callable[[bytes], Message], limit: int) -> Callable[[bytes], object]:
    """A deserializer that reports instead of failing, so that the client gets a clear status."""

    def read(data: bytes) -> object:
        if len(data) > limit:
            return Unreadable(MessageTooLarge(limit, len(data)))
        try:
            return decode(data)
        except DecodeError:
            return Unreadable(MalformedMessage())

    return read


class RequestsCut(Exception):
    """A client's stream broke off before its end."""


async def whole(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
    """The messages of a client's stream, to its end.

    Raise what keeps a message from being read, and `RequestsCut` where the call broke off: gRPC
    ends the messages of such a call as if all had been sent, and may say so to the handler only
    later. Sending shows the difference at once.
    """
    async for request in requests:
        if isinstance(request, Unreadable):
            raise request.error
        yield request
    try:
        await context.send_initial_metadata(())
    except Exception as error:
        raise RequestsCut from error


def _is_usable(value: str) -> bool:
    return value.isascii() and value.isprintable() and 0 < len(value) <= MAX_REQUEST_ID


def id_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The caller's request id where it sent a usable one, otherwise a new one."""
    for name, value in metadata:
        if name == REQUEST_ID_KEY and isinstance(value, str) and _is_usable(value):
            return value
    return str(uuid_utils.uuid4())
