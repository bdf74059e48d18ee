"""How many fields a message has, counted on the wire before any of them is decoded.

protobuf holds the interpreter while it decodes, and makes of two bytes an object of a hundred and
more: a message of 16 MB may have eight million of them.
"""

from __future__ import annotations

from functools import cache

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError

CONTINUES = 0x80
MAX_SHIFT = 63  # of the tenth byte of a varint, which is the last one it may have
VARINT, FIXED64, DELIMITED, GROUP, GROUP_END, FIXED32 = range(6)

Span = tuple[int, int, Descriptor]
"""Where a message begins and ends, and its type."""


class TooManyFields(Exception):
    """The message has more fields than it may."""


def count_fields(data: bytes, descriptor: Descriptor, most: int) -> int:
    """How many fields the message has with those of the messages in it; an item of a list is one.

    Raise `TooManyFields` as soon as there are more than `most`. Bytes that are no message raise
    `DecodeError`, but not all of them.
    """
    waiting: list[Span] = [(0, len(data), descriptor)]
    count = 0
    while waiting:
        at, end, of = waiting.pop()
        try:
            count += _count(data, at, end, _messages(of), waiting, most - count)
        except IndexError as error:
            raise DecodeError from error
    return count


def _count(
    data: bytes,
    at: int,
    end: int,
    messages: dict[int, Descriptor],
    inner: list[Span],
    most: int,
) -> int:
    """The number of fields between two places; those that are messages are added to `inner`.

    Written for speed: most varints have one byte.
    """
    count = 0
    while at < end:
        count += 1
        if count > most:
            raise TooManyFields
        tag, at = data[at], at + 1
        if tag >= CONTINUES:
            tag, at = _varint(data, at - 1)
        kind = tag & 7
        if kind == DELIMITED:
            size, at = data[at], at + 1
            if size >= CONTINUES:
                size, at = _varint(data, at - 1)
            if size and tag in messages:
                inner.append((at, at + size, messages[tag]))
            at += size
        elif kind == VARINT:
            _, at = _varint(data, at)
        else:
            at += {FIXED64: 8, FIXED32: 4, GROUP: 0, GROUP_END: 0}.get(kind, end)
    if at != end:
        raise DecodeError
    return count


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins here, and where it ends."""
    number = shift = 0
    while data[at] >= CONTINUES:
        if shift == MAX_SHIFT:
            raise DecodeError
        number |= (data[at] - CONTINUES) << shift
        shift, at = shift + 7, at + 1
    return number | data[at] << shift, at + 1


@cache
def _messages(descriptor: Descriptor) -> dict[int, Descriptor]:
    """The fields that are messages, by their tags."""
    return {
        field.number << 3 | DELIMITED: field.message_type
        for field in descriptor.fields
        if field.message_type
    }
