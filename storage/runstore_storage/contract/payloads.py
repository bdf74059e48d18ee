"""Payloads: values the store keeps byte for byte."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Payload:
    """A value kept as it is: a JSON text (str) or opaque bytes."""

    content: str | bytes
    content_type: str = ""

    @property
    def data(self) -> bytes:
        """The content's bytes; of a JSON text its UTF-8."""
        return self.content.encode() if isinstance(self.content, str) else self.content


@dataclass(frozen=True, slots=True)
class Ref:
    """A snapshot part that the run has stored before, by the SHA-256 of its content."""

    sha256: bytes


SnapshotPart = Payload | Ref
