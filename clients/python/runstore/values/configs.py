"""Configs: their values, and what messages become of them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, TypedDict

from runstore.v1 import config_service_pb2 as rpc
from runstore.v1 import configs_pb2
from runstore.values.payloads import Payload, Value, payload_of
from runstore.wire import runs as wire
from runstore.wire.times import time_of


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """Which version a body is; `deduplicated` when it was one before."""

    version: int
    digest: str
    created_at: datetime
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """An immutable version, and the labels that point to it now; lists leave `body` out."""

    kind: str
    name: str
    version: int
    digest: str
    body: Payload | None
    body_bytes: int
    description: str
    metadata: Payload | None
    labels: tuple[str, ...]
    actor: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ConfigLabel:
    """A name for a version that can be moved to another."""

    label: str
    version: int
    actor: str
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class Config:
    """All versions of one name: the latest without its body, and every label."""

    kind: str
    name: str
    latest: ConfigVersion
    labels: tuple[ConfigLabel, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LabelMove:
    """A label went from one version to another; 0 stands for no label.

    The two are equal where nothing had to be moved; `moved_at` is None where there was no label to
    remove.
    """

    label: str
    from_version: int
    to_version: int
    actor: str
    moved_at: datetime | None


class RegisterFields(TypedDict, total=False):
    """What may stand beside a version's body. Labels are moved to it in the same transaction."""

    description: str
    metadata: Mapping[str, Any] | Payload
    labels: Sequence[str]
    actor: str


class Selector(TypedDict, total=False):
    """Which version: by number, by digest or by label; none of them means the latest."""

    version: int
    digest: str
    label: str


def config_digest(body: Value) -> str:
    """The digest a version of this body has, for whoever checks a pin without the server."""
    payload = payload_of(body)
    kind = b"json" if isinstance(payload.content, str) else b"binary"
    whole = sha256()
    for field in (b"config", kind, payload.content_type.encode(), payload.data):
        whole.update(struct.pack(">Q", len(field)) + field)
    return f"sha256:{whole.hexdigest()}"


def registered_value(message: rpc.RegisterVersionResponse) -> RegisteredVersion:
    return RegisteredVersion(
        message.version, message.digest, time_of(message.created_at), message.deduplicated
    )


def version_value(message: configs_pb2.ConfigVersion) -> ConfigVersion:
    return ConfigVersion(
        kind=message.kind,
        name=message.name,
        version=message.version,
        digest=message.digest,
        body=wire.payload_value(message.body) if message.HasField("body") else None,
        body_bytes=message.body_bytes,
        description=message.description,
        metadata=wire.payload_value(message.metadata) if message.HasField("metadata") else None,
        labels=tuple(message.labels),
        actor=message.actor,
        created_at=time_of(message.created_at),
    )


def config_value(message: configs_pb2.Config) -> Config:
    return Config(
        kind=message.kind,
        name=message.name,
        latest=version_value(message.latest),
        labels=tuple(
            ConfigLabel(each.label, each.version, each.actor, time_of(each.moved_at))
            for each in message.labels
        ),
        created_at=time_of(message.created_at),
    )


def move_value(message: configs_pb2.LabelMove) -> LabelMove:
    return LabelMove(
        label=message.label,
        from_version=message.from_version,
        to_version=message.to_version,
        actor=message.actor,
        moved_at=time_of(message.moved_at) if message.HasField("moved_at") else None,
    )
