"""Calls about configs."""

from __future__ import annotations

from typing import Any

from runstore.arguments import InvalidArgument, only_known
from runstore.calls.call import CONFIGS, PAGE_SIZE, Call, Page, page_of
from runstore.ids import new_id
from runstore.v1 import config_service_pb2 as rpc
from runstore.values.configs import (
    Config,
    ConfigVersion,
    LabelMove,
    RegisteredVersion,
    RegisterFields,
    Selector,
)
from runstore.values.payloads import Value
from runstore.wire.configs import config_value, move_value, registered_value, version_value
from runstore.wire.messages import message_of
from runstore.wire.payloads import part_message, payload_message


def register_version(
    project: str, kind: str, name: str, body: Value, fields: RegisterFields
) -> Call[RegisteredVersion]:
    only_known(fields, RegisterFields)
    request = message_of(
        rpc.RegisterVersionRequest,
        project=project,
        kind=kind,
        name=name,
        body=part_message(body, "body"),
        description=fields.get("description", ""),
        metadata=payload_message(fields.get("metadata"), "metadata"),
        labels=fields.get("labels", ()),
        actor=fields.get("actor", ""),
        request_id=new_id(),
    )
    return Call(CONFIGS, "RegisterVersion", request, registered_value)


def get_version(project: str, kind: str, name: str, selector: Selector) -> Call[ConfigVersion]:
    only_known(selector, Selector)
    if len(selector) > 1:
        raise InvalidArgument(" and ".join(selector), "only one of them selects a version")
    request = message_of(rpc.GetVersionRequest, project=project, kind=kind, name=name, **selector)
    return Call(CONFIGS, "GetVersion", request, lambda response: version_value(response.version))


def list_versions(project: str, kind: str, name: str, page_token: str) -> Call[Page[ConfigVersion]]:
    request = message_of(
        rpc.ListVersionsRequest,
        project=project,
        kind=kind,
        name=name,
        page_size=PAGE_SIZE,
        page_token=page_token,
    )
    return Call(CONFIGS, "ListVersions", request, page_of("versions", version_value))


def list_configs(project: str, kind: str, name_prefix: str, page_token: str) -> Call[Page[Config]]:
    request = message_of(
        rpc.ListConfigsRequest,
        project=project,
        kind=kind,
        name_prefix=name_prefix,
        page_size=PAGE_SIZE,
        page_token=page_token,
    )
    return Call(CONFIGS, "ListConfigs", request, page_of("configs", config_value))


def set_label(
    project: str,
    kind: str,
    name: str,
    label: str,
    version: int,
    expected_version: int | None,
    actor: str,
) -> Call[LabelMove]:
    request = message_of(
        rpc.SetLabelRequest,
        project=project,
        kind=kind,
        name=name,
        label=label,
        version=version,
        expected_version=expected_version,
        actor=actor,
        request_id=new_id(),
    )
    return Call(CONFIGS, "SetLabel", request, _move)


def remove_label(
    project: str, kind: str, name: str, label: str, expected_version: int | None, actor: str
) -> Call[LabelMove]:
    request = message_of(
        rpc.RemoveLabelRequest,
        project=project,
        kind=kind,
        name=name,
        label=label,
        expected_version=expected_version,
        actor=actor,
        request_id=new_id(),
    )
    return Call(CONFIGS, "RemoveLabel", request, _move)


def list_label_moves(
    project: str, kind: str, name: str, label: str, page_token: str
) -> Call[Page[LabelMove]]:
    request = message_of(
        rpc.ListLabelMovesRequest,
        project=project,
        kind=kind,
        name=name,
        label=label,
        page_size=PAGE_SIZE,
        page_token=page_token,
    )
    return Call(CONFIGS, "ListLabelMoves", request, page_of("moves", move_value))


def _move(response: Any) -> LabelMove:
    return move_value(response.move)
