"""What is known about a request before its RPC runs: its id, and whether it could be decoded."""

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
"""The id of the request that the current task handles."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a request that could not be decoded; its RPC raises the error."""

    error: RequestError


def reader(decode: Callable[[bytes], Message], limit: int) -> Callable[[bytes], object]:
    """A deserializer that returns `Unreadable` instead of raising, for a status with details."""

    def read(data: bytes) -> object:
        if len(data) > limit:
            return Unreadable(MessageTooLarge(limit, len(data)))
        try:
            return decode(data)
        except DecodeError:
            return Unreadable(MalformedMessage())

    return read


class RequestsCut(Exception):
    """A client's stream was cut off before its end."""


async def all_messages(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
    """The messages of a client's stream, up to its end.

    Raise the error of a message that could not be decoded, and `RequestsCut` if the call was cut
    off: gRPC ends the messages of such a call as if all had been sent, and may cancel the handler
    only later. Sending the initial metadata fails at once on such a call.
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
    """The caller's request id if it sent a usable one, otherwise a new one."""
    for name, value in metadata:
        if name == REQUEST_ID_KEY and isinstance(value, str) and _is_usable(value):
            return value
    return str(uuid_utils.uuid4())
