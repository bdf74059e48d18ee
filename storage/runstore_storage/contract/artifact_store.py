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
from typing import Protocol

from runstore_storage.contract.artifacts import (
    Announced,
    Artifact,
    ArtifactFilter,
    ArtifactRef,
    NewArtifact,
    OpenedArtifact,
    RecordedArtifact,
)


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
        self, project: str, where: ArtifactFilter, *, limit: int, after: str
    ) -> tuple[tuple[Artifact, ...], bool]:
        """Return up to `limit` artifacts, newest first; True when more follow.

        They begin behind the artifact with the id `after`, or with the newest for "".
        """
