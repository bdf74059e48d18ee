# Generated from aio/artifacts.py; see generate_sync.py.
"""Artifacts of a synchronous client."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Unpack

from runstore import calls
from runstore.retry import Patience
from runstore.streams.artifacts import PATIENCE_SECONDS, ArtifactDownload, can_repeat, measured
from runstore.sync import transport
from runstore.sync.connection import Connection
from runstore.values.artifacts import (
    Artifact,
    ArtifactFields,
    ArtifactFilterFields,
    ArtifactPut,
    Data,
    WhichArtifact,
)


class Artifacts:
    """Named results of a project's runs, too large or too opaque for a payload."""

    def __init__(self, connection: Connection, project: str) -> None:
        self._connection = connection
        self._project = project

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of project {self._project!r}>"

    def upload(
        self, run_id: str, name: str, data: Data, **fields: Unpack[ArtifactFields]
    ) -> ArtifactPut:
        """Store bytes as the next version of a name, unless its newest version has these bytes.

        Bytes and files that the server already has are not stored again, so repeating an upload of
        them costs nothing; the client does so for a minute while the server is unavailable.
        """
        sha256, size = transport.run_blocking(measured, data)
        known = ArtifactFields(sha256=sha256, size=size) | fields
        patience = Patience(PATIENCE_SECONDS, self._connection.backoff)
        call = calls.artifacts.upload_artifact(self._project, run_id, name, known)
        return self._connection.send_stream(
            call,
            lambda: transport.upload_requests(call.request, data),
            patience if can_repeat(data) else None,
        )

    def download(
        self, *, offset: int = 0, length: int = 0, **which: Unpack[WhichArtifact]
    ) -> Generator[bytes]:
        """Yield an artifact's bytes, or a range of them (`length` 0: to the end).

        A download that breaks is continued. A whole artifact is checked against its SHA-256.
        """
        backoff = self._connection.backoff
        stream = ArtifactDownload(self._project, which, offset, length, backoff)
        with closing(self._connection.follow(stream)) as chunks:
            for chunk in chunks:
                yield chunk

    def read(self, *, offset: int = 0, length: int = 0, **which: Unpack[WhichArtifact]) -> bytes:
        """As `download`, in one piece."""
        taken = bytearray()
        with closing(self.download(offset=offset, length=length, **which)) as chunks:
            for chunk in chunks:
                taken += chunk
        return bytes(taken)

    def link(
        self, run_id: str, name: str, url: str, **fields: Unpack[ArtifactFields]
    ) -> ArtifactPut:
        """Record a pointer to bytes kept elsewhere as the next version of a name."""
        return self._connection.send(
            calls.artifacts.link_artifact(self._project, run_id, name, url, fields)
        )

    def get(self, **which: Unpack[WhichArtifact]) -> Artifact:
        """One artifact, without its bytes."""
        return self._connection.send(calls.artifacts.get_artifact(self._project, which))

    def list(self, run_id: str = "", **where: Unpack[ArtifactFilterFields]) -> Iterator[Artifact]:
        """Yield the artifacts of a run, or of the whole project, newest first."""
        for artifact in self._connection.pages(
            lambda token: calls.artifacts.list_artifacts(self._project, run_id, where, token)
        ):
            yield artifact
