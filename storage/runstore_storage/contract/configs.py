"""Values of configs that cross the store's boundary. All are frozen; times are UTC-aware."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runstore_storage.contract.runs import Payload

NO_VERSION = 0


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """The public identity of a config."""

    project: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version as its author states it, and the labels to move to it."""

    key: ConfigKey
    body: Payload
    description: str = ""
    metadata: Payload | None = None
    labels: tuple[str, ...] = ()
    actor: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    version: int
    digest: str
    created_at: datetime
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class VersionSelector:
    """Chooses a version by the one field that is set; none is set: the latest."""

    version: int = 0
    digest: str = ""
    label: str = ""


LATEST = VersionSelector()


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """An immutable version, and the labels that point to it now. Lists leave `body` out."""

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
class LabelChange:
    """Where a label shall point; `NO_VERSION` removes it.

    `expected_version` is where it must point now, `NO_VERSION` nowhere, None anywhere.
    """

    label: str
    version: int
    expected_version: int | None = None
    actor: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class LabelMove:
    """An entry of a label's history; `NO_VERSION` stands for no label.

    `moved_at` is None, and both versions are `NO_VERSION`, where a label was removed that was not
    there.
    """

    label: str
    from_version: int
    to_version: int
    actor: str
    moved_at: datetime | None


@dataclass(frozen=True, slots=True)
class LabelAnswer:
    move: LabelMove
    deduplicated: bool
