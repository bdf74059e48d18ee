"""Artifacts: named results of runs, whose bytes are in an object store.

A project stores the same bytes once, by their SHA-256. They are put into the object store before
the artifact is recorded, in one transaction, so an artifact that can be seen can be read. A failure
between the two leaves an object that no artifact names; it can be neither listed nor read.

The versions of a name are 1, 2, 3 ... in the order they were recorded. Artifacts never change, and
may be added to completed runs. `StorageUnavailable` may also mean that the object store did not
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
    """An artifact as its writer describes it."""

    key: RunKey
    name: str
    type: str = ""
    content_type: str = ""
    metadata: Payload | None = None
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Announced:
    """What the writer says of the bytes before sending them; empty and None say nothing."""

    sha256: bytes = b""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A version of a named result.

    `url` is empty if its bytes are in the object store; otherwise the artifact is a link, which may
    lack `size` and `sha256`.
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
    """An artifact, and whether it had been recorded before."""

    artifact: Artifact
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """Names an artifact by its id, or by run, name and version (0 is the newest)."""

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
    """An artifact and the bytes of the requested range."""

    artifact: Artifact
    chunks: AsyncIterator[bytes]


class ArtifactStore(Protocol):
    """Artifacts of all runs."""

    async def upload_artifact(
        self, new: NewArtifact, announced: Announced, chunks: AsyncIterator[bytes]
    ) -> RecordedArtifact:
        """Store bytes and record them under a name.

        Content that the project already has is never stored twice, and `chunks` is not read if its
        SHA-256 was announced. If the newest version of the name has this content, that version is
        returned, `deduplicated`. Bytes that differ from the announcement raise `ContentMismatch`.
        An exception of `chunks` is raised as it is, and nothing is recorded.
        """

    async def link_artifact(
        self, new: NewArtifact, url: str, announced: Announced
    ) -> RecordedArtifact:
        """Record a link, or return the newest version of the name if it is the same link."""

    async def get_artifact(self, ref: ArtifactRef) -> Artifact:
        """Return an artifact, or raise `ArtifactNotFound`."""

    async def open_artifact(self, ref: ArtifactRef, *, offset: int, length: int) -> OpenedArtifact:
        """Open a range of an artifact: `length` bytes from `offset`, or all the rest for 0.

        A range that exceeds the artifact raises `RangeBeyondEnd`; a link raises `ArtifactIsLink`.
        """

    async def list_artifacts(
        self, project: str, where: ArtifactFilter, *, limit: int, after: str | None
    ) -> Page[Artifact, str]:
        """Return up to `limit` artifacts, newest first; the cursor is an artifact id."""
