"""Artifacts of an asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Unpack

from google.protobuf.message import Message

from runstore.aio import transport
from runstore.calls import artifacts as artifact_calls
from runstore.retry import Backoff, Patience
from runstore.v1 import artifact_service_pb2 as rpc
from runstore.values.artifacts import (
    PATIENCE_SECONDS,
    Artifact,
    ArtifactFields,
    ArtifactFilterFields,
    ArtifactPut,
    ArtifactReading,
    Data,
    WhichArtifact,
    can_repeat,
    measured,
)

if TYPE_CHECKING:
    from runstore.aio.client import AsyncClient


class AsyncArtifacts:
    """Named results of a project's runs, too large or too opaque for a payload."""

    def __init__(self, client: AsyncClient, project: str, backoff: Backoff) -> None:
        self._client = client
        self._project = project
        self._backoff = backoff

    async def upload(
        self, run_id: str, name: str, data: Data, **fields: Unpack[ArtifactFields]
    ) -> ArtifactPut:
        """Store bytes as the next version of a name; the newest one where it has these bytes.

        Of bytes and files the server takes what it does not have, so an upload may be repeated at
        no cost; the client does so for a minute while the server is away.
        """
        sha256, size = await transport.aside(measured, data)
        known = ArtifactFields(sha256=sha256, size=size) | fields
        patience = Patience(PATIENCE_SECONDS, self._backoff) if can_repeat(data) else None
        call = artifact_calls.upload(self._project, run_id, name, known)

        async def requests() -> AsyncGenerator[Message]:
            yield call.request
            async with aclosing(transport.chunks(data)) as chunks:
                async for chunk in chunks:
                    yield rpc.UploadArtifactRequest(chunk=chunk)

        return await self._client.send_stream(call, requests, patience)

    async def download(
        self, *, offset: int = 0, length: int = 0, **which: Unpack[WhichArtifact]
    ) -> AsyncGenerator[bytes]:
        """Yield an artifact's bytes, or a range of them (`length` 0: to the end).

        A download that breaks goes on where it was. A whole one is checked against its SHA-256.
        """
        reading = ArtifactReading(self._project, which, offset, length, self._backoff)
        async with aclosing(self._client.follow(reading)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def read(
        self, *, offset: int = 0, length: int = 0, **which: Unpack[WhichArtifact]
    ) -> bytes:
        """As `download`, all in one."""
        taken = bytearray()
        async with aclosing(self.download(offset=offset, length=length, **which)) as chunks:
            async for chunk in chunks:
                taken += chunk
        return bytes(taken)

    async def link(
        self, run_id: str, name: str, url: str, **fields: Unpack[ArtifactFields]
    ) -> ArtifactPut:
        """Record a pointer to bytes that are kept elsewhere as the next version of a name."""
        return await self._client.send(
            artifact_calls.link(self._project, run_id, name, url, fields)
        )

    async def get(self, **which: Unpack[WhichArtifact]) -> Artifact:
        """One artifact, without its bytes."""
        return await self._client.send(artifact_calls.get(self._project, which))

    async def list(
        self, run_id: str = "", **where: Unpack[ArtifactFilterFields]
    ) -> AsyncIterator[Artifact]:
        """Yield the artifacts of a run, or of the whole project, newest first."""
        async for artifact in self._client.pages(
            lambda token: artifact_calls.list_artifacts(self._project, run_id, where, token)
        ):
            yield artifact
