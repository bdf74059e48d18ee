"""The artifacts' contract: named results of runs, their bytes in an object store.

Bytes are stored once a project by their SHA-256. They reach the object store first and the artifact
is recorded then, in one transaction, so whoever sees an artifact can read it. What fails between
the two leaves an object that nothing names; it can neither be listed nor read.

Versions of a name are 1, 2, 3 ... in the order in which they were recorded. Artifacts may be added
to completed runs and never change. `StorageUnavailable` also means that the object store did not
answer. The rules of `Store` hold here too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.pages import Page
from runstore_storage.contract.payloads import Payload


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


class ArtifactStore(Protocol):
    """Artifacts of all runs."""

    async def upload_artifact(
        self, new: NewArtifact, announced: Announced, chunks: AsyncIterator[bytes]
    ) -> RecordedArtifact:
        """Store bytes and record them under a name.

        Content that the project has already is not read from `chunks` where its SHA-256 was
        announced, and never stored twice. The newest version of the name is returned,
        `deduplicated`, where it has this content. Other bytes than announced raise
        `ContentMismatch`. What `chunks` raises is raised, and nothing is recorded.
        """

    async def link_artifact(
        self, new: NewArtifact, url: str, announced: Announced
    ) -> RecordedArtifact:
        """Record a pointer; the newest version of the name, where it is the same pointer."""

    async def get_artifact(self, ref: ArtifactRef) -> Artifact:
        """Return an artifact, or raise `ArtifactNotFound`."""

    async def open_artifact(self, ref: ArtifactRef, *, offset: int, length: int) -> OpenedArtifact:
        """Begin to read `length` bytes (0: the rest) from `offset` on.

        A range that is not within the artifact raises `RangeBeyondEnd`, a link `ArtifactIsLink`.
        """

    async def list_artifacts(
        self, project: str, where: ArtifactFilter, *, limit: int, after: str | None
    ) -> Page[Artifact, str]:
        """Return up to `limit` artifacts, newest first; those behind the id `after` if given."""
