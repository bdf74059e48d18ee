"""Artifacts: their values, the bytes an upload is given, a download as the client keeps it whole.

No I/O on the network happens here; the async and the sync client drive it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict

from runstore.errors import ProtocolError, RunstoreError
from runstore.retry import Backoff, Patience
from runstore.v1 import artifact_service_pb2 as rpc
from runstore.v1 import artifacts_pb2, payloads_pb2
from runstore.values.payloads import Payload
from runstore.wire import runs as wire
from runstore.wire.times import time_of

CHUNK_BYTES = 1 << 20
PATIENCE_SECONDS = 60.0
SILENCE_SECONDS = 60.0

Data = bytes | bytearray | memoryview | PathLike[str] | Iterable[bytes] | AsyncIterable[bytes]
"""What an upload takes: bytes, the path of a file, or chunks. Chunks can be read once only, so an
upload of them is not tried again. The synchronous client takes no asynchronous chunks."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A version of a named result; its bytes are at `url` where that is not empty."""

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


@dataclass(frozen=True, slots=True)
class ArtifactPut:
    """An artifact that was uploaded or linked; `deduplicated` where it was there already."""

    artifact: Artifact
    deduplicated: bool


class ArtifactFields(TypedDict, total=False):
    """What may be said of an artifact; size and sha256 of a file or of bytes the client finds."""

    type: str
    content_type: str
    metadata: Mapping[str, Any]
    actor: str
    size: int | None
    sha256: bytes


class ArtifactFilterFields(TypedDict, total=False):
    """Which artifacts: of this type, versions of this name."""

    type: str
    name: str


class WhichArtifact(TypedDict, total=False):
    """Names an artifact: by its id, or by run_id, name and version (the newest without)."""

    artifact_id: str
    run_id: str
    name: str
    version: int


class ArtifactReading:
    """Where a download stands; see `following.Following`.

    It goes on behind the bytes received, and checks the SHA-256 of a whole artifact.
    """

    service, method = "artifact_service", "DownloadArtifact"
    silence_seconds = SILENCE_SECONDS

    def __init__(
        self, project: str, which: WhichArtifact, offset: int, length: int, backoff: Backoff
    ) -> None:
        self.is_over = False
        self._request = rpc.DownloadArtifactRequest(
            project=project, offset=offset, length=length, **which
        )
        self._artifact: artifacts_pb2.Artifact | None = None
        self._digest = None if offset or length else sha256()
        self._left = 0
        self._patience = Patience(PATIENCE_SECONDS, backoff)

    def request(self) -> rpc.DownloadArtifactRequest:
        return self._request

    def take(self, message: rpc.DownloadArtifactResponse) -> Iterator[bytes]:
        self._patience.renew()
        if message.HasField("artifact"):
            self._begin(message.artifact)
        else:
            chunk = message.chunk
            self._request.offset += len(chunk)
            self._left -= len(chunk)
            self._request.length = self._left
            if self._digest:
                self._digest.update(chunk)
            yield chunk
        self._check()

    def retry_delay(self, error: RunstoreError) -> float | None:
        return self._patience.delay(error)

    def ended(self) -> None:
        if not self.is_over:
            raise ProtocolError(f"the server ended a download {self._left} bytes early")

    def _begin(self, artifact: artifacts_pb2.Artifact) -> None:
        if self._artifact:
            return  # the stream was opened again
        self._artifact = artifact
        self._left = self._request.length or artifact.size - self._request.offset
        # A newer version must not go on where this one broke off.
        self._request = rpc.DownloadArtifactRequest(
            project=self._request.project,
            artifact_id=artifact.artifact_id,
            offset=self._request.offset,
            length=self._left,
        )

    def _check(self) -> None:
        self.is_over = self._left == 0
        if self.is_over and self._digest and self._artifact:
            if self._digest.digest() != self._artifact.sha256:
                raise ProtocolError("the bytes received are not the artifact's")
            self._digest = None


def can_repeat(data: Data) -> bool:
    """Whether the data can be read a second time."""
    return isinstance(data, bytes | bytearray | memoryview | PathLike)


def measured(data: Data) -> tuple[bytes, int | None]:
    """SHA-256 and size of bytes or a file; neither is known of chunks."""
    if not can_repeat(data):
        return b"", None
    digest, size = sha256(), 0
    for chunk in pieces(data):
        digest.update(chunk)
        size += len(chunk)
    return digest.digest(), size


def pieces(data: Data) -> Iterator[bytes]:
    """The data in pieces small enough to send."""
    if isinstance(data, PathLike):
        with Path(data).open("rb") as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece
    elif isinstance(data, bytes | bytearray | memoryview):
        view = memoryview(data).cast("B")
        for start in range(0, len(view), CHUNK_BYTES):
            yield bytes(view[start : start + CHUNK_BYTES])
    elif isinstance(data, str):
        raise TypeError("a str is neither bytes nor a path: encode it, or make it a pathlib.Path")
    elif isinstance(data, AsyncIterable):
        raise TypeError("asynchronous chunks are for the asynchronous client")
    else:
        for chunk in data:
            yield from pieces(chunk)


class _Sent(TypedDict):
    """The fields of a message that describes an artifact."""

    type: str
    content_type: str
    metadata: payloads_pb2.Payload | None
    actor: str
    size: int | None
    sha256: bytes


def sent(fields: ArtifactFields) -> _Sent:
    return _Sent(
        type=fields.get("type", ""),
        content_type=fields.get("content_type", ""),
        metadata=wire.payload_message(fields.get("metadata")),
        actor=fields.get("actor", ""),
        size=fields.get("size"),
        sha256=fields.get("sha256", b""),
    )


def header_of(
    project: str, run_id: str, name: str, fields: ArtifactFields
) -> rpc.UploadArtifactRequest:
    """The first message of an upload."""
    return rpc.UploadArtifactRequest(
        header=rpc.ArtifactHeader(project=project, run_id=run_id, name=name, **sent(fields))
    )


def artifact_value(message: artifacts_pb2.Artifact) -> Artifact:
    return Artifact(
        artifact_id=message.artifact_id,
        project=message.project,
        run_id=message.run_id,
        name=message.name,
        version=message.version,
        type=message.type,
        content_type=message.content_type,
        size=message.size if message.HasField("size") else None,
        sha256=message.sha256,
        url=message.url,
        metadata=wire.payload_value(message.metadata) if message.HasField("metadata") else None,
        actor=message.actor,
        created_at=time_of(message.created_at),
    )


def put_value(response: rpc.UploadArtifactResponse | rpc.LinkArtifactResponse) -> ArtifactPut:
    return ArtifactPut(artifact_value(response.artifact), response.deduplicated)
