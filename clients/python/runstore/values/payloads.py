"""Payloads: values the store keeps byte for byte."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any


@dataclass(frozen=True, slots=True)
class Payload:
    """A value the store keeps byte for byte: a JSON text (str) or opaque bytes."""

    content: str | bytes
    content_type: str = ""

    @property
    def data(self) -> bytes:
        """The bytes; of a JSON text its UTF-8."""
        return self.content.encode() if isinstance(self.content, str) else self.content

    @property
    def sha256(self) -> bytes:
        """What a `Ref` to this content holds."""
        return sha256(self.data).digest()

    def value(self) -> Any:
        """The JSON text parsed; bytes as they are."""
        return json.loads(self.content) if isinstance(self.content, str) else self.content


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands for a snapshot part the run has stored before."""

    sha256: bytes


Value = Any
"""What payload arguments take: a `Payload` as it is, bytes as a binary payload, anything else as
its JSON text (`json.dumps`)."""


def payload_of(value: Value) -> Payload:
    """The payload an argument means; raise TypeError or ValueError where JSON has no such value."""
    if isinstance(value, Payload):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return Payload(bytes(value))
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate travels as its escape
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Payload(text)
