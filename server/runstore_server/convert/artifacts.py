"""Artifacts."""

from __future__ import annotations

from typing import Literal, Protocol

from runstore.v1 import artifact_service_pb2 as rpc
from runstore.v1 import artifacts_pb2
from runstore_storage.contract.artifacts import (
    Announced,
    Artifact,
    ArtifactFilter,
    ArtifactRef,
    NewArtifact,
)

from runstore_server.convert.payloads import payload_message, payload_of
from runstore_server.convert.runs import key_of, project_of
from runstore_server.convert.times import timestamp

NewArtifactMessage = rpc.ArtifactHeader | rpc.LinkArtifactRequest


class Sized(Protocol):
    """A request that may announce the number of bytes and their hash."""

    sha256: bytes
    size: int

    def HasField(self, field_name: Literal["size"], /) -> bool: ...  # noqa: N802 - protobuf's name


def new_artifact_of(message: NewArtifactMessage) -> NewArtifact:
    return NewArtifact(
        key=key_of(message),
        name=message.name,
        type=message.type,
        content_type=message.content_type,
        metadata=payload_of(message.metadata) if message.HasField("metadata") else None,
        actor=message.actor,
    )


def announced_of(message: Sized) -> Announced:
    return Announced(message.sha256, message.size if message.HasField("size") else None)


def ref_of(message: rpc.GetArtifactRequest | rpc.DownloadArtifactRequest) -> ArtifactRef:
    return ArtifactRef(
        project=project_of(message.project),
        artifact_id=message.artifact_id,
        run_id=message.run_id,
        name=message.name,
        version=message.version,
    )


def filter_of(message: rpc.ListArtifactsRequest) -> ArtifactFilter:
    return ArtifactFilter(message.run_id, message.type, message.name)


def artifact_message(artifact: Artifact) -> artifacts_pb2.Artifact:
    new = artifact.new
    return artifacts_pb2.Artifact(
        artifact_id=artifact.artifact_id,
        project=new.key.project,
        run_id=new.key.run_id,
        name=new.name,
        version=artifact.version,
        type=new.type,
        content_type=new.content_type,
        size=artifact.size,
        sha256=artifact.sha256,
        url=artifact.url,
        metadata=payload_message(new.metadata) if new.metadata else None,
        actor=new.actor,
        created_at=timestamp(artifact.created_at),
    )
