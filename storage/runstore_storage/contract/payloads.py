"""Payloads: values that the store keeps byte for byte."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Payload:
    """A value that is kept as it was sent: a JSON text (str) or opaque bytes."""

    content: str | bytes
    content_type: str = ""

    @property
    def data(self) -> bytes:
        """The content as bytes; a JSON text is encoded as UTF-8."""
        return self.content.encode() if isinstance(self.content, str) else self.content


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands for a snapshot part that the run stored before, by the SHA-256 of its content."""

    sha256: bytes


SnapshotPart = Payload | Ref
