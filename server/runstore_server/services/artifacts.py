"""ArtifactService: named results of runs are uploaded, downloaded and listed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import structlog
from runstore.v1 import artifact_service_pb2 as rpc
from runstore.v1.artifact_service_pb2_grpc import ArtifactServiceServicer
from runstore_storage.contract.artifacts import ArtifactStore

from runstore_server.convert.artifacts import (
    announced_of,
    artifact_message,
    filter_of,
    new_artifact_of,
    ref_of,
)
from runstore_server.convert.runs import project_of
from runstore_server.edge.unread import Room, Unread
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_PAGE
from runstore_server.validation.requests import admit, refuse

# Well below the 4 MiB that gRPC clients accept by default.
CHUNK_BYTES = 1 << 20


class ArtifactService(ArtifactServiceServicer):
    def __init__(self, artifacts: ArtifactStore, unread: Unread) -> None:
        self._artifacts = artifacts
        self._unread = unread

    async def UploadArtifact(
        self, requests: AsyncIterator[rpc.UploadArtifactRequest], _context: Any
    ) -> rpc.UploadArtifactResponse:
        header = await _header(requests)
        recorded = await self._artifacts.upload_artifact(
            new_artifact_of(header), announced_of(header), _chunks(requests)
        )
        return rpc.UploadArtifactResponse(
            artifact=artifact_message(recorded.artifact), deduplicated=recorded.deduplicated
        )

    async def DownloadArtifact(
        self, request: rpc.DownloadArtifactRequest, context: Any
    ) -> AsyncIterator[rpc.DownloadArtifactResponse]:
        await admit(request)
        opened = await self._artifacts.open_artifact(
            ref_of(request), offset=request.offset, length=request.length
        )
        yield rpc.DownloadArtifactResponse(artifact=artifact_message(opened.artifact))
        length = request.length or (opened.artifact.size or 0) - request.offset
        async with self._unread.room(context.peer()) as room:
            async for chunk in _cut(opened.chunks, length, room):
                yield rpc.DownloadArtifactResponse(chunk=chunk)

    async def LinkArtifact(
        self, request: rpc.LinkArtifactRequest, _context: Any
    ) -> rpc.LinkArtifactResponse:
        await admit(request)
        recorded = await self._artifacts.link_artifact(
            new_artifact_of(request), request.url, announced_of(request)
        )
        return rpc.LinkArtifactResponse(
            artifact=artifact_message(recorded.artifact), deduplicated=recorded.deduplicated
        )

    async def GetArtifact(
        self, request: rpc.GetArtifactRequest, _context: Any
    ) -> rpc.GetArtifactResponse:
        await admit(request)
        artifact = await self._artifacts.get_artifact(ref_of(request))
        return rpc.GetArtifactResponse(artifact=artifact_message(artifact))

    async def ListArtifacts(
        self, request: rpc.ListArtifactsRequest, _context: Any
    ) -> rpc.ListArtifactsResponse:
        await admit(request)
        token = request.page_token
        page = await self._artifacts.list_artifacts(
            project_of(request.project),
            filter_of(request),
            limit=request.page_size or DEFAULT_PAGE,
            after=page_tokens.read(request, token)[0] if token else None,
        )
        return rpc.ListArtifactsResponse(
            artifacts=[artifact_message(each) for each in page.items],
            next_page_token=page_tokens.following(request, page.next_after),
        )


async def _header(requests: AsyncIterator[rpc.UploadArtifactRequest]) -> rpc.ArtifactHeader:
    """The first message, which describes the chunks in the others."""
    first = await anext(requests, None)
    if first is None or not first.HasField("header"):
        refuse("header", "must be the first message")
    await admit(first)
    header = first.header
    structlog.contextvars.bind_contextvars(project=header.project, run_id=header.run_id)
    return header


async def _chunks(requests: AsyncIterator[rpc.UploadArtifactRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.HasField("header"):
            refuse("header", "must be set only in the first message")
        yield request.chunk


async def _cut(pieces: AsyncIterator[bytes], length: int, room: Room) -> AsyncIterator[bytes]:
    """Pieces as chunks; the next piece is read when there is room for one as large as the last."""
    await room.take(min(length, CHUNK_BYTES))
    async for piece in pieces:
        for start in range(0, len(piece), CHUNK_BYTES):
            yield piece[start : start + CHUNK_BYTES]
        room.sent()
        length -= len(piece)
        await room.take(min(length, len(piece)))
