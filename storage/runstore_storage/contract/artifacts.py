"""Values of artifacts that cross the store's boundary. All are frozen; times are UTC-aware."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from runstore_storage.contract.runs import Payload, RunKey


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """What its writer says of an artifact."""

    key: RunKey
    name: str
    type: str = ""
    content_type: str = ""
    metadata: Payload | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Announced:
    """What is known of bytes before they are read; empty and None leave it open."""

    sha256: bytes = b""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A version of a named result; `url` is empty where its bytes are in the object store.

    A link may be without size and sha256.
    """

    artifact_id: str
    new: NewArtifact
    version: int
    url: str
    sha256: bytes
    size: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RecordedArtifact:
    """An artifact, and whether it was there already."""

    artifact: Artifact
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """Names an artifact: by its id, or by run, name and version (0: the newest)."""

    project: str
    artifact_id: str = ""
    run_id: str = ""
    name: str = ""
    version: int = 0

    def __str__(self) -> str:
        if self.artifact_id:
            return self.artifact_id
        version = f" version {self.version}" if self.version else ""
        return f"{self.run_id}/{self.name}{version}"


@dataclass(frozen=True, slots=True)
class ArtifactFilter:
    """Selects artifacts; every condition that is set must hold."""

    run_id: str = ""
    type: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class OpenedArtifact:
    """An artifact and the bytes of the range that was asked for."""

    artifact: Artifact
    chunks: AsyncIterator[bytes]
