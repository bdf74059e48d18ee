"""Canonical texts: the bytes that are hashed.

A canonical text is a list of fields, each written as its length in bytes (unsigned 64-bit,
big-endian) followed by its bytes. Strings are UTF-8, integers are decimal ASCII, an absent value is
the empty field, a list is one field holding its own canonical text. The first field names what is
hashed, so that different kinds never share a hash.
"""

from __future__ import annotations

import struct
from hashlib import sha256

LENGTH = struct.Struct(">Q").pack
EMPTY = LENGTH(0)
HASH_LENGTH = LENGTH(sha256().digest_size)
"""What a hash has before it as a field."""

Field = str | bytes | int


def canonical(*fields: Field) -> bytes:
    """The fields' canonical text."""
    out: list[bytes] = []
    for value in fields:
        if isinstance(value, str):
            data = value.encode()
        elif isinstance(value, bytes):
            data = value
        else:
            data = b"%d" % value
        out += (LENGTH(len(data)), data) if data else (EMPTY,)
    return b"".join(out)


def digest(*fields: Field) -> bytes:
    """SHA-256 of the fields' canonical text."""
    return sha256(canonical(*fields)).digest()


def field(data: bytes) -> bytes:
    """One field of a canonical text."""
    return LENGTH(len(data)) + data
