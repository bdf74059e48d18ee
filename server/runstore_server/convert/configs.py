"""Configs, their versions, and labels."""

from __future__ import annotations

from typing import Protocol

from runstore.v1 import config_service_pb2 as rpc
from runstore.v1 import configs_pb2
from runstore_storage.contract.configs import (
    Config,
    ConfigKey,
    ConfigLabel,
    ConfigVersion,
    LabelMove,
    NewVersion,
    VersionSelector,
)

from runstore_server.convert.payloads import payload_message, payload_of
from runstore_server.convert.runs import project_of
from runstore_server.convert.times import timestamp


class OfConfig(Protocol):
    """A request about one config."""

    project: str
    kind: str
    name: str


def config_key_of(request: OfConfig) -> ConfigKey:
    return ConfigKey(project_of(request.project), request.kind, request.name)


def new_version_of(request: rpc.RegisterVersionRequest) -> NewVersion:
    return NewVersion(
        key=config_key_of(request),
        body=payload_of(request.body),
        description=request.description,
        metadata=payload_of(request.metadata) if request.HasField("metadata") else None,
        labels=tuple(request.labels),
        actor=request.actor,
        request_id=request.request_id,
    )


def version_selector_of(request: rpc.GetVersionRequest) -> VersionSelector:
    return VersionSelector(request.version, request.digest, request.label)


def version_message(version: ConfigVersion) -> configs_pb2.ConfigVersion:
    return configs_pb2.ConfigVersion(
        kind=version.kind,
        name=version.name,
        version=version.version,
        digest=version.digest,
        body=payload_message(version.body) if version.body else None,
        description=version.description,
        metadata=payload_message(version.metadata) if version.metadata else None,
        labels=version.labels,
        actor=version.actor,
        created_at=timestamp(version.created_at),
        body_bytes=version.body_bytes,
    )


def config_message(config: Config) -> configs_pb2.Config:
    return configs_pb2.Config(
        kind=config.kind,
        name=config.name,
        latest=version_message(config.latest),
        labels=[_label_message(each) for each in config.labels],
        created_at=timestamp(config.created_at),
    )


def move_message(move: LabelMove) -> configs_pb2.LabelMove:
    return configs_pb2.LabelMove(
        label=move.label,
        from_version=move.from_version,
        to_version=move.to_version,
        actor=move.actor,
        moved_at=timestamp(move.moved_at) if move.moved_at else None,
    )


def _label_message(label: ConfigLabel) -> configs_pb2.ConfigLabel:
    return configs_pb2.ConfigLabel(
        label=label.label,
        version=label.version,
        actor=label.actor,
        moved_at=timestamp(label.moved_at),
    )
