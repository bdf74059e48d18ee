"""Configs: their versions and labels, and the versions that runs are pinned to."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, TypedDict

from runstore.values.payloads import Payload, Value, payload_of


@dataclass(frozen=True, slots=True)
class ConfigRef:
    """A version of a prompt, tool, agent or evaluator that a run is pinned to.

    The refs of a saved run have number and digest. To save a run, either of them is enough, and so
    is a label.
    """

    kind: str
    name: str
    version: int = 0
    digest: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class PinnedConfig:
    """A version that a run is pinned to; `body` is None if it is kept elsewhere."""

    ref: ConfigRef
    body: Payload | None


@dataclass(frozen=True, slots=True)
class ConfigFilter:
    """Selects runs that are pinned to a config or, if given, to one version of it."""

    kind: str
    name: str
    version: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """An immutable version and the labels that point to it now; listings leave out `body`."""

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
    """A name that points to a version and can be moved to another."""

    label: str
    version: int
    actor: str
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class Config:
    """All versions of one name: the latest, without its body, and every label."""

    kind: str
    name: str
    latest: ConfigVersion
    labels: tuple[ConfigLabel, ...]
    created_at: datetime


class RegisterFields(TypedDict, total=False):
    """The fields of a version other than its body. `labels` are moved to it atomically."""

    description: str
    metadata: Mapping[str, Any] | Payload
    labels: Sequence[str]
    actor: str


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """The version of a registered body; `deduplicated` if it had been registered before."""

    version: int
    digest: str
    created_at: datetime
    deduplicated: bool


class Selector(TypedDict, total=False):
    """Selects a version by number, by digest or by label; the latest if empty."""

    version: int
    digest: str
    label: str


@dataclass(frozen=True, slots=True)
class LabelMove:
    """A label moved from one version to another; 0 means no label.

    The two are equal if the label was there already; `moved_at` is None if there was no label to
    remove.
    """

    label: str
    from_version: int
    to_version: int
    actor: str
    moved_at: datetime | None


def config_digest(body: Value) -> str:
    """The digest of the version with this body, for checking a pin without the server."""
    payload = payload_of(body, "body")
    kind = b"json" if isinstance(payload.content, str) else b"binary"
    whole = sha256()
    for field in (b"config", kind, payload.content_type.encode(), payload.data):
        whole.update(struct.pack(">Q", len(field)) + field)
    return f"sha256:{whole.hexdigest()}"
