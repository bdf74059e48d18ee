"""What is known about a request before its RPC runs: its id, and whether it could be decoded."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

import uuid_utils
from google.protobuf.message import DecodeError, Message

from runstore_server.edge.errors import (
    InvalidRequest,
    MalformedMessage,
    MessageTooLarge,
    RequestError,
    Violation,
)
from runstore_server.edge.wire import TooManyFields, count_fields

REQUEST_ID_KEY = "x-request-id"
MAX_REQUEST_ID = 200
# Decoding a message of so many bytes, or of so many fields, holds the interpreter for a tenth of a
# second at worst. Chunks of uploads, of 1 MiB, are no large messages.
LARGE_BYTES = (1 << 20) + (64 << 10)
MAX_FIELDS = 500_000
GZIP = b"\x1f\x8b"  # no message begins like this: its first byte names a wire type there is not
IDENTITY_AND_GZIP = 0b101
# gRPC would decompress a message whole, however large it becomes; `inflated` does not.
READING_OPTIONS = (
    ("grpc.per_message_decompression", 0),
    ("grpc.compression_enabled_algorithms_bitset", IDENTITY_AND_GZIP),
)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that the current task handles."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a request that could not be decoded; its RPC raises the error."""

    error: RequestError


@dataclass(frozen=True, slots=True)
class Undecoded:
    """Stands for a large request, which `decoded` reads."""

    read: Callable[[], object]


async def beside(is_large: bool, work: Callable[[*Ts], T], *args: *Ts) -> T:
    """Do work, in a thread if there is much of it, so that other calls go on."""
    return await asyncio.to_thread(work, *args) if is_large else work(*args)


async def decoded(request: Any) -> Any:
    """The request, or `Unreadable`; a large one is decoded in a thread: other calls go on."""
    return await asyncio.to_thread(request.read) if isinstance(request, Undecoded) else request


def reader(decode: Callable[[bytes], Message], limit: int) -> Callable[[bytes], object]:
    """A deserializer that returns `Unreadable` instead of raising, for a status with details.

    For a large message it returns `Undecoded`.
    """
    most = min(limit, LARGE_BYTES)

    def read(data: bytes) -> object:
        try:
            content = inflated(data, most)
            if len(content) <= most:
                return decode(content)
        except DecodeError:
            return Unreadable(MalformedMessage())
        return Undecoded(partial(_read_large, decode, limit, data))

    return read


def _read_large(decode: Any, limit: int, data: bytes) -> object:
    descriptor = decode.__self__.DESCRIPTOR
    try:
        content = inflated(data, limit)
        if len(content) > limit:
            return Unreadable(MessageTooLarge(limit, len(content)))
        count_fields(content, descriptor, MAX_FIELDS)
        return decode(content)
    except TooManyFields:
        rule = f"must have at most {MAX_FIELDS} fields, those of messages and items in it counted"
        return Unreadable(InvalidRequest([Violation(descriptor.name, rule)]))
    except DecodeError:
        return Unreadable(MalformedMessage())


def inflated(data: bytes, limit: int) -> bytes:
    """The message, decompressed if it is gzip; only the beginning of one beyond the limit."""
    if not data.startswith(GZIP):
        return data
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise DecodeError from error
    if len(content) <= limit and not inflater.eof:
        raise DecodeError
    return content


class RequestsCut(Exception):
    """A client's stream was cut off before its end."""


async def all_messages(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
    """The messages of a client's stream, up to its end.

    Raise the error of a message that could not be decoded, and `RequestsCut` if the call was cut
    off: gRPC ends the messages of such a call as if all had been sent, and may cancel the handler
    only later. Sending the initial metadata fails at once on such a call.
    """
    async for sent in requests:
        request = await decoded(sent)
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
