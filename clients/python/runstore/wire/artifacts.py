"""Artifacts as messages, and back."""

from __future__ import annotations

from typing import TypedDict

from runstore.v1 import artifact_service_pb2 as rpc
from runstore.v1 import artifacts_pb2, payloads_pb2
from runstore.values.artifacts import Artifact, ArtifactFields, ArtifactPut
from runstore.wire.payloads import optional_payload, payload_message
from runstore.wire.times import time_value


class Described(TypedDict):
    """The fields that describe an artifact, in an upload's header and in a link."""

    type: str
    content_type: str
    metadata: payloads_pb2.Payload | None
    actor: str
    size: int | None
    sha256: bytes


def described(fields: ArtifactFields) -> Described:
    return Described(
        type=fields.get("type", ""),
        content_type=fields.get("content_type", ""),
        metadata=payload_message(fields.get("metadata"), "metadata"),
        actor=fields.get("actor", ""),
        size=fields.get("size"),
        sha256=fields.get("sha256", b""),
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
        metadata=optional_payload(message, "metadata"),
        actor=message.actor,
        created_at=time_value(message.created_at),
    )


def put_value(message: rpc.UploadArtifactResponse | rpc.LinkArtifactResponse) -> ArtifactPut:
    return ArtifactPut(artifact_value(message.artifact), message.deduplicated)
