"""What is known of a request before its RPC runs: its id, and whether it could be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import uuid4

from google.protobuf.message import DecodeError, Message

from runstore_server.errors import MalformedMessage, MessageTooLarge, RequestError

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


def _is_usable(value: str) -> bool:
    return value.isascii() and value.isprintable() and 0 < len(value) <= MAX_REQUEST_ID


def id_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The caller's request id where it sent a usable one, otherwise a new one."""
    for name, value in metadata:
        if name == REQUEST_ID_KEY and isinstance(value, str) and _is_usable(value):
            return value
    return str(uuid4())
