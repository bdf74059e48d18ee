"""Payloads: values the store keeps byte for byte."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from runstore.values.json_texts import json_text


@dataclass(frozen=True, slots=True)
class Payload:
    """A value the store keeps byte for byte: a JSON text (str) or opaque bytes."""

    content: str | bytes
    content_type: str = ""

    @property
    def data(self) -> bytes:
        """The content as bytes; a JSON text is encoded as UTF-8."""
        return self.content.encode() if isinstance(self.content, str) else self.content

    @property
    def sha256(self) -> bytes:
        """The hash that a `Ref` to this content holds."""
        return sha256(self.data).digest()

    def value(self) -> Any:
        """The parsed JSON text, or the bytes as they are."""
        return json.loads(self.content) if isinstance(self.content, str) else self.content


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands for a snapshot part that the run has already stored."""

    sha256: bytes


# A union of types would be made anew at each look.
BYTES = (bytes, bytearray, memoryview)

Value = Any
"""What payload arguments accept: a `Payload` as it is, bytes as a binary payload, anything else as
its JSON text. JSON has strings, finite numbers, booleans, None, lists or tuples of these, and dicts
with string keys; `register_encoder` adds types."""


def payload_of(value: Value, name: str = "payload") -> Payload:
    """The payload of an argument; raise `InvalidArgument` for what is not JSON."""
    if isinstance(value, Payload):
        return value
    if isinstance(value, BYTES):
        return Payload(bytes(value))
    return Payload(json_text(value, name))
