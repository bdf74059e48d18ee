"""Configs as messages, and back."""

from __future__ import annotations

from collections.abc import Iterable

from runstore.arguments import instance, items
from runstore.v1 import config_service_pb2 as rpc
from runstore.v1 import configs_pb2, run_service_pb2, runs_pb2
from runstore.values.configs import (
    Config,
    ConfigFilter,
    ConfigLabel,
    ConfigRef,
    ConfigVersion,
    LabelMove,
    PinnedConfig,
    RegisteredVersion,
)
from runstore.wire.messages import message_at
from runstore.wire.payloads import optional_payload
from runstore.wire.times import optional_time, time_value


def ref_messages(refs: Iterable[ConfigRef]) -> list[runs_pb2.ConfigRef]:
    return [
        message_at(
            f"config_refs[{index}].",
            runs_pb2.ConfigRef,
            kind=ref.kind,
            name=ref.name,
            version=ref.version,
            digest=ref.digest,
            label=ref.label,
        )
        for index, ref in enumerate(items(refs, ConfigRef, "config_refs"))
    ]


def ref_value(message: runs_pb2.ConfigRef) -> ConfigRef:
    return ConfigRef(message.kind, message.name, message.version, message.digest)


def pinned_value(message: run_service_pb2.PinnedConfig) -> PinnedConfig:
    return PinnedConfig(ref_value(message.ref), optional_payload(message, "body"))


def filter_message(wanted: ConfigFilter) -> run_service_pb2.ConfigFilter:
    instance(wanted, ConfigFilter, "config")
    return message_at(
        "config.",
        run_service_pb2.ConfigFilter,
        kind=wanted.kind,
        name=wanted.name,
        version=wanted.version,
        digest=wanted.digest,
    )


def version_value(message: configs_pb2.ConfigVersion) -> ConfigVersion:
    return ConfigVersion(
        kind=message.kind,
        name=message.name,
        version=message.version,
        digest=message.digest,
        body=optional_payload(message, "body"),
        body_bytes=message.body_bytes,
        description=message.description,
        metadata=optional_payload(message, "metadata"),
        labels=tuple(message.labels),
        actor=message.actor,
        created_at=time_value(message.created_at),
    )


def config_value(message: configs_pb2.Config) -> Config:
    return Config(
        kind=message.kind,
        name=message.name,
        latest=version_value(message.latest),
        labels=tuple(
            ConfigLabel(each.label, each.version, each.actor, time_value(each.moved_at))
            for each in message.labels
        ),
        created_at=time_value(message.created_at),
    )


def registered_value(message: rpc.RegisterVersionResponse) -> RegisteredVersion:
    return RegisteredVersion(
        message.version, message.digest, time_value(message.created_at), message.deduplicated
    )


def move_value(message: configs_pb2.LabelMove) -> LabelMove:
    return LabelMove(
        label=message.label,
        from_version=message.from_version,
        to_version=message.to_version,
        actor=message.actor,
        moved_at=optional_time(message, "moved_at"),
    )
