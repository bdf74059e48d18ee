"""Artifacts on Postgres and an object store. The contract is `ArtifactStore`."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

from runstore_storage.artifacts.contents import StoredContent, put_content
from runstore_storage.contract.artifacts import (
    Announced,
    Artifact,
    ArtifactFilter,
    ArtifactRef,
    NewArtifact,
    OpenedArtifact,
    RecordedArtifact,
)
from runstore_storage.contract.errors import (
    ArtifactIsLink,
    ArtifactNotFound,
    ContentMismatch,
    RangeBeyondEnd,
    StorageError,
    StorageUnavailable,
)
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.pages import Page
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.ids import new_id
from runstore_storage.payloads.objects import Objects
from runstore_storage.run_write import lock_run
from runstore_storage.sql import artifacts, heads, objects
from runstore_storage.sql.objects import StoredObject

_log = logging.getLogger(__name__)


class PostgresArtifacts:
    """Shares the connections of the store that makes it."""

    def __init__(self, engine: Database, store: Objects, in_flight: WritesInFlight) -> None:
        self._engine = engine
        self._objects = store
        self._in_flight = in_flight

    async def upload_artifact(
        self, new: NewArtifact, announced: Announced, chunks: AsyncIterator[bytes]
    ) -> RecordedArtifact:
        project = new.key.project
        known = await self._known(new.key, announced)
        if known and not await self._objects.exists(known.location):
            at = known.location
            await put_content(self._objects, project, announced, chunks, location=at)
            if recorded := await self._record_known(new, known):
                return recorded
            raise StorageUnavailable("the object store", "has lost what was uploaded")
        if known and (recorded := await self._record_known(new, known)):
            return recorded
        content = await put_content(self._objects, project, announced, chunks)
        try:
            location, recorded = await self._record_content(new, content)
        except StorageUnavailable:
            raise  # it may be recorded
        except StorageError:
            await self._remove(content.location)
            raise
        if location != content.location:
            await self._remove(content.location)
        return recorded

    @finish_despite_cancellation
    async def link_artifact(
        self, new: NewArtifact, url: str, announced: Announced
    ) -> RecordedArtifact:
        async with writing(self._engine) as conn:
            write = await lock_run(conn, new.key)
            newest = await artifacts.latest(conn, write.head.run, new.name)
            wanted = (url, announced.sha256, announced.size)
            if newest and (newest.url, newest.sha256, newest.size) == wanted:
                return RecordedArtifact(newest, deduplicated=True)
            version = await artifacts.next_version(conn, write.head.run, new.name)
            artifact = Artifact(new_id(), new, version, *wanted, write.now)
            await artifacts.insert(conn, write.head.run, artifact, object_=None)
        return RecordedArtifact(artifact, deduplicated=False)

    async def get_artifact(self, ref: ArtifactRef) -> Artifact:
        return (await self._find(ref))[0]

    async def open_artifact(self, ref: ArtifactRef, *, offset: int, length: int) -> OpenedArtifact:
        artifact, location = await self._find(ref)
        if artifact.url:
            raise ArtifactIsLink(artifact.artifact_id, artifact.url)
        size = artifact.size or 0
        if offset > size or length > size - offset:
            raise RangeBeyondEnd(artifact.artifact_id, offset, length, size)
        return OpenedArtifact(
            artifact, self._objects.read(location, offset, length or size - offset)
        )

    async def list_artifacts(
        self, project: str, where: ArtifactFilter, *, limit: int, after: str | None
    ) -> Page[Artifact, str]:
        async with reading(self._engine) as conn:
            run = None
            if where.run_id:
                run = (await heads.get(conn, RunKey(project, where.run_id))).run
            found = await artifacts.page(
                conn, project, run, where, limit=limit + 1, after=after or ""
            )
        return Page.of(found, limit, lambda artifact: artifact.artifact_id)

    async def _known(self, key: RunKey, announced: Announced) -> StoredObject | None:
        """The object that holds the announced content, if the project has it."""
        async with reading(self._engine) as conn:
            await heads.get(conn, key)
            known = await objects.find(conn, key.project, announced.sha256)
        if known and announced.size not in {None, known.size}:
            raise ContentMismatch("size", announced.size, known.size)
        return known

    @finish_despite_cancellation
    async def _record_known(self, new: NewArtifact, known: StoredObject) -> RecordedArtifact | None:
        """Record content that the project has; None where it was removed meanwhile."""
        async with writing(self._engine) as conn:
            await objects.lock(conn, new.key.project, known.sha256)
            if await objects.find(conn, new.key.project, known.sha256) != known:
                return None
            return await _record(conn, new, known)

    @finish_despite_cancellation
    async def _record_content(
        self, new: NewArtifact, content: StoredContent
    ) -> tuple[str, RecordedArtifact]:
        """Record content under a name; return where the project keeps it, and the artifact."""
        async with writing(self._engine) as conn:
            await objects.lock(conn, new.key.project, content.sha256)
            stored = await objects.ensure(
                conn,
                new.key.project,
                sha256=content.sha256,
                size=content.size,
                location=content.location,
            )
            return stored.location, await _record(conn, new, stored)

    async def _find(self, ref: ArtifactRef) -> tuple[Artifact, str]:
        async with reading(self._engine) as conn:
            found = await artifacts.find(conn, ref)
        if found is None:
            raise ArtifactNotFound(ref.project, str(ref))
        return found

    async def _remove(self, location: str) -> None:
        """Remove bytes that another upload of the same content made redundant."""
        try:
            await self._objects.delete(location)
        except StorageUnavailable:
            _log.warning("an object that no row names is left behind: %s", location)


async def _record(conn: Connection, new: NewArtifact, stored: StoredObject) -> RecordedArtifact:
    """Record the object's content as the newest version of the name, unless it is that already."""
    write = await lock_run(conn, new.key)
    newest = await artifacts.latest(conn, write.head.run, new.name)
    if newest and not newest.url and newest.sha256 == stored.sha256:
        return RecordedArtifact(newest, deduplicated=True)
    version = await artifacts.next_version(conn, write.head.run, new.name)
    artifact = Artifact(new_id(), new, version, "", stored.sha256, stored.size, write.now)
    await artifacts.insert(conn, write.head.run, artifact, object_=stored.object)
    return RecordedArtifact(artifact, deduplicated=False)
