"""The calls about artifacts, as values; see `calls`."""

from __future__ import annotations

from google.protobuf.message import Message

from runstore.calls.runs import Answer, Call, T
from runstore.v1 import artifact_service_pb2 as rpc
from runstore.values.artifacts import (
    Artifact,
    ArtifactFields,
    ArtifactFilterFields,
    ArtifactPut,
    WhichArtifact,
    artifact_value,
    header_of,
    put_value,
    sent,
)


def upload(project: str, run_id: str, name: str, fields: ArtifactFields) -> Call[ArtifactPut]:
    """The upload's first message; its chunks follow."""
    return _call("UploadArtifact", header_of(project, run_id, name, fields), put_value)


def link(
    project: str, run_id: str, name: str, url: str, fields: ArtifactFields
) -> Call[ArtifactPut]:
    request = rpc.LinkArtifactRequest(
        project=project, run_id=run_id, name=name, url=url, **sent(fields)
    )
    return _call("LinkArtifact", request, put_value)


def get(project: str, which: WhichArtifact) -> Call[Artifact]:
    request = rpc.GetArtifactRequest(project=project, **which)
    return _call("GetArtifact", request, lambda response: artifact_value(response.artifact))


def list_artifacts(
    project: str, run_id: str, where: ArtifactFilterFields, page_token: str
) -> Call[tuple[list[Artifact], str]]:
    request = rpc.ListArtifactsRequest(
        project=project,
        run_id=run_id,
        page_size=100,
        page_token=page_token,
        **where,
    )
    return _call(
        "ListArtifacts",
        request,
        lambda response: (
            [artifact_value(each) for each in response.artifacts],
            response.next_page_token,
        ),
    )


def _call(method: str, request: Message, answer: Answer[T]) -> Call[T]:
    return Call(method, request, answer, service="artifact_service")
