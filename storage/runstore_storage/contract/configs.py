"""Configs: immutable versions of prompts, tools, agents and evaluators, and labels on them.

A config is addressed by project, kind and name; one that the project does not have raises
`ConfigNotFound`. Its versions are 1, 2, 3 ... without gaps, in commit order. They never change: the
database refuses it too. Every move of a label is recorded, and the records are kept.

The rules of `Store` hold here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from runstore_storage.contract.pages import Page
from runstore_storage.contract.payloads import Payload

NO_VERSION = 0


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """The public identity of a config."""

    project: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version as its author gives it, and the labels to move to it."""

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
    """Chooses a version by the one field that is set, or the latest if none is."""

    version: int = 0
    digest: str = ""
    label: str = ""


LATEST = VersionSelector()


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """An immutable version, and the labels that point to it now. Listings leave `body` out."""

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
    """A config: its latest version without the body, and all its labels."""

    kind: str
    name: str
    latest: ConfigVersion
    labels: tuple[ConfigLabel, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LabelChange:
    """The version that a label is to point to; `NO_VERSION` removes the label.

    The label must point to `expected_version` now: `NO_VERSION` means that it must not exist, None
    that it may point anywhere.
    """

    label: str
    version: int
    expected_version: int | None = None
    actor: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class LabelMove:
    """An entry of a label's history; `NO_VERSION` stands for no label.

    Removing a label that does not exist makes no entry: then `moved_at` is None, and both versions
    are `NO_VERSION`.
    """

    label: str
    from_version: int
    to_version: int
    actor: str
    moved_at: datetime | None


@dataclass(frozen=True, slots=True)
class LabelChangeResult:
    move: LabelMove
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class ConfigRef:
    """A version that a run is pinned to, by number and digest.

    A run may be saved with only one of number, digest and label; the store then fills in the pin.
    """

    kind: str
    name: str
    version: int = 0
    digest: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class PinnedConfig:
    """A pinned version and its body, which is None if the store does not have it."""

    ref: ConfigRef
    body: Payload | None


class ConfigStore(Protocol):
    """Versions of prompts, tools, agents and evaluators, and the labels that point to them."""

    async def register_version(self, new: NewVersion) -> RegisteredVersion:
        """Store a body as the config's next version and move the labels to it, all or nothing.

        The config is made if it does not exist. If one of its versions has this body, that version
        is returned, `deduplicated`, and keeps its description and metadata; the labels are moved to
        it all the same, each as `change_label` would.
        """

    async def get_version(
        self, key: ConfigKey, selector: VersionSelector = LATEST
    ) -> ConfigVersion:
        """Return a version with its body.

        An unknown label raises `ConfigLabelNotFound`, any other unknown version
        `ConfigVersionNotFound`.
        """

    async def list_versions(
        self, key: ConfigKey, *, limit: int, after: int | None
    ) -> Page[ConfigVersion, int]:
        """Return up to `limit` versions, newest first; the cursor is a version's number."""

    async def list_configs(
        self,
        project: str,
        *,
        kind: str,
        name_prefix: str,
        limit: int,
        after: tuple[str, str] | None,
    ) -> Page[Config, tuple[str, str]]:
        """Return up to `limit` configs in the order of kind and name, which make up the cursor.

        An empty `kind` selects all kinds.
        """

    async def change_label(self, key: ConfigKey, change: LabelChange) -> LabelChangeResult:
        """Point a label to a version, or remove it, and record the move.

        A move that was recorded under the `request_id` is returned, `deduplicated`, wherever the
        label points now; if it was to another version, `IdempotencyMismatch` is raised. If the
        label points to the version already, nothing is recorded, and the result is `deduplicated`.
        Otherwise an unknown version raises `ConfigVersionNotFound`, and a label that does not point
        to `expected_version` raises `LabelConflict`.
        """

    async def list_label_moves(
        self, key: ConfigKey, label: str, *, limit: int, after: int | None
    ) -> Page[LabelMove, int]:
        """Return up to `limit` moves of a label, newest first; of all labels if it is empty."""
