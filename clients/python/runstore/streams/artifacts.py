"""The bytes of artifacts: the chunks of an upload, and a download that may break."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator
from hashlib import sha256
from os import PathLike
from pathlib import Path

from runstore.arguments import InvalidArgument, not_of, only_known
from runstore.calls.call import ARTIFACTS
from runstore.errors import ProtocolError, RunstoreError
from runstore.retry import Backoff, Patience
from runstore.v1 import artifact_service_pb2 as rpc
from runstore.v1 import artifacts_pb2
from runstore.values.artifacts import Data, WhichArtifact
from runstore.wire.messages import message_of

CHUNK_BYTES = 1 << 20
PATIENCE_SECONDS = 60.0
SILENCE_SECONDS = 60.0


def can_repeat(data: Data) -> bool:
    """Whether the data can be read a second time."""
    return isinstance(data, bytes | bytearray | memoryview | PathLike)


def measured(data: Data) -> tuple[bytes, int | None]:
    """The SHA-256 and size of bytes or of a file; unknown for chunks.

    Raise `InvalidArgument` for what is no data, before anything of it is sent.
    """
    _refuse_unless_data(data)
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
    elif isinstance(data, AsyncIterable):
        raise InvalidArgument("data", "only the asynchronous client accepts asynchronous chunks")
    else:
        _refuse_unless_data(data)
        for chunk in data:
            yield from pieces(chunk)


def _refuse_unless_data(data: Data) -> None:
    if isinstance(data, str):
        raise InvalidArgument(
            "data", "a str is neither bytes nor a path: encode it, or make it a Path"
        )
    if not isinstance(data, PathLike | Iterable | AsyncIterable):
        raise not_of("bytes, a Path or chunks of bytes", data, "data")


class ArtifactDownload:
    """A `ResumableStream` that continues after the last byte it received.

    It checks the SHA-256 of a whole artifact.
    """

    service, method = ARTIFACTS, "DownloadArtifact"
    silence_seconds = SILENCE_SECONDS

    def __init__(
        self, project: str, which: WhichArtifact, offset: int, length: int, backoff: Backoff
    ) -> None:
        self.is_over = False
        only_known(which, WhichArtifact)
        self._request = message_of(
            rpc.DownloadArtifactRequest, project=project, offset=offset, length=length, **which
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
            return  # the stream was reopened
        self._artifact = artifact
        self._left = self._request.length or artifact.size - self._request.offset
        # By id, so that a reopened stream does not continue with a newer version.
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
                raise ProtocolError("the received bytes are not the artifact's")
            self._digest = None
