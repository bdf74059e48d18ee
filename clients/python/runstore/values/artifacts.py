"""Artifacts: named results of runs, and the bytes an upload accepts."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from typing import Any, TypedDict

from runstore.values.payloads import Payload

Data = bytes | bytearray | memoryview | PathLike[str] | Iterable[bytes] | AsyncIterable[bytes]
"""What an upload accepts: bytes, the path of a file, or chunks. Chunks can be read only once, so an
upload of chunks is not retried. The synchronous client takes no asynchronous chunks."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A version of a named result. If `url` is not empty, the bytes are kept there."""

    artifact_id: str
    project: str
    run_id: str
    name: str
    version: int
    type: str
    content_type: str
    size: int | None
    sha256: bytes
    url: str
    metadata: Payload | None
    actor: str
    created_at: datetime


class ArtifactFields(TypedDict, total=False):
    """The fields of a new artifact. The client computes size and sha256 of bytes and of files."""

    type: str
    content_type: str
    metadata: Mapping[str, Any]
    actor: str
    size: int | None
    sha256: bytes


@dataclass(frozen=True, slots=True)
class ArtifactPut:
    """An uploaded or linked artifact; `deduplicated` if it had been stored before."""

    artifact: Artifact
    deduplicated: bool


class WhichArtifact(TypedDict, total=False):
    """Names an artifact: by its id, or by run_id, name and version (by default the newest)."""

    artifact_id: str
    run_id: str
    name: str
    version: int


class ArtifactFilterFields(TypedDict, total=False):
    """Selects artifacts by type and by name."""

    type: str
    name: str
