"""The calls about configs, as values; see `calls`."""

from __future__ import annotations

from google.protobuf.message import Message

from runstore.calls.runs import Answer, Call, T
from runstore.ids import new_id
from runstore.v1 import config_service_pb2 as rpc
from runstore.values.configs import (
    Config,
    ConfigVersion,
    LabelMove,
    RegisteredVersion,
    RegisterFields,
    Selector,
    config_value,
    move_value,
    registered_value,
    version_value,
)
from runstore.values.payloads import Value
from runstore.wire import runs as wire

PAGE = 100


def register(
    project: str, kind: str, name: str, body: Value, fields: RegisterFields
) -> Call[RegisteredVersion]:
    request = rpc.RegisterVersionRequest(
        project=project,
        kind=kind,
        name=name,
        body=wire.part_message(body),
        description=fields.get("description", ""),
        metadata=wire.payload_message(fields.get("metadata")),
        labels=fields.get("labels", ()),
        actor=fields.get("actor", ""),
        request_id=new_id(),
    )
    return _call("RegisterVersion", request, registered_value)


def get_version(project: str, kind: str, name: str, selector: Selector) -> Call[ConfigVersion]:
    if len(selector) > 1:
        raise TypeError("a version is chosen by number, digest or label, not by several of them")
    request = rpc.GetVersionRequest(project=project, kind=kind, name=name, **selector)
    return _call("GetVersion", request, lambda response: version_value(response.version))


def list_versions(
    project: str, kind: str, name: str, page_token: str
) -> Call[tuple[list[ConfigVersion], str]]:
    request = rpc.ListVersionsRequest(
        project=project, kind=kind, name=name, page_size=PAGE, page_token=page_token
    )
    return _call(
        "ListVersions",
        request,
        lambda response: (
            [version_value(each) for each in response.versions],
            response.next_page_token,
        ),
    )


def list_configs(
    project: str, kind: str, name_prefix: str, page_token: str
) -> Call[tuple[list[Config], str]]:
    request = rpc.ListConfigsRequest(
        project=project,
        kind=kind,
        name_prefix=name_prefix,
        page_size=PAGE,
        page_token=page_token,
    )
    return _call(
        "ListConfigs",
        request,
        lambda response: (
            [config_value(each) for each in response.configs],
            response.next_page_token,
        ),
    )


def set_label(
    project: str,
    kind: str,
    name: str,
    label: str,
    version: int,
    expected_version: int | None,
    actor: str,
) -> Call[LabelMove]:
    request = rpc.SetLabelRequest(
        project=project,
        kind=kind,
        name=name,
        label=label,
        version=version,
        expected_version=expected_version,
        actor=actor,
        request_id=new_id(),
    )
    return _call("SetLabel", request, lambda response: move_value(response.move))


def remove_label(
    project: str, kind: str, name: str, label: str, expected_version: int | None, actor: str
) -> Call[LabelMove]:
    request = rpc.RemoveLabelRequest(
        project=project,
        kind=kind,
        name=name,
        label=label,
        expected_version=expected_version,
        actor=actor,
        request_id=new_id(),
    )
    return _call("RemoveLabel", request, lambda response: move_value(response.move))


def list_label_moves(
    project: str, kind: str, name: str, label: str, page_token: str
) -> Call[tuple[list[LabelMove], str]]:
    request = rpc.ListLabelMovesRequest(
        project=project,
        kind=kind,
        name=name,
        label=label,
        page_size=PAGE,
        page_token=page_token,
    )
    return _call(
        "ListLabelMoves",
        request,
        lambda response: (
            [move_value(each) for each in response.moves],
            response.next_page_token,
        ),
    )


def _call(method: str, request: Message, answer: Answer[T]) -> Call[T]:
    return Call(method, request, answer, service="config_service")
