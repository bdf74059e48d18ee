"""Calls about artifacts."""

from __future__ import annotations

from runstore.arguments import only_known
from runstore.calls.call import ARTIFACTS, PAGE_SIZE, Call, Page, page_of
from runstore.v1 import artifact_service_pb2 as rpc
from runstore.values.artifacts import (
    Artifact,
    ArtifactFields,
    ArtifactFilterFields,
    ArtifactPut,
    WhichArtifact,
)
from runstore.wire.artifacts import artifact_value, described, put_value
from runstore.wire.messages import message_of


def upload_artifact(
    project: str, run_id: str, name: str, fields: ArtifactFields
) -> Call[ArtifactPut]:
    """An upload with its first message, which the chunks follow."""
    only_known(fields, ArtifactFields)
    header = message_of(
        rpc.ArtifactHeader, project=project, run_id=run_id, name=name, **described(fields)
    )
    return Call(ARTIFACTS, "UploadArtifact", rpc.UploadArtifactRequest(header=header), put_value)


def link_artifact(
    project: str, run_id: str, name: str, url: str, fields: ArtifactFields
) -> Call[ArtifactPut]:
    only_known(fields, ArtifactFields)
    request = message_of(
        rpc.LinkArtifactRequest,
        project=project,
        run_id=run_id,
        name=name,
        url=url,
        **described(fields),
    )
    return Call(ARTIFACTS, "LinkArtifact", request, put_value)


def get_artifact(project: str, which: WhichArtifact) -> Call[Artifact]:
    only_known(which, WhichArtifact)
    request = message_of(rpc.GetArtifactRequest, project=project, **which)
    return Call(
        ARTIFACTS, "GetArtifact", request, lambda response: artifact_value(response.artifact)
    )


def list_artifacts(
    project: str, run_id: str, where: ArtifactFilterFields, page_token: str
) -> Call[Page[Artifact]]:
    only_known(where, ArtifactFilterFields)
    request = message_of(
        rpc.ListArtifactsRequest,
        project=project,
        run_id=run_id,
        page_size=PAGE_SIZE,
        page_token=page_token,
        **where,
    )
    return Call(ARTIFACTS, "ListArtifacts", request, page_of("artifacts", artifact_value))
