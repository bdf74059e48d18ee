"""The configs' contract: immutable versions, and labels that move between them.

A config is addressed by project, kind and name; one that the project does not have raises
`ConfigNotFound`. Its versions are 1, 2, 3 ... without gaps, in commit order, and never change; the
database refuses it too. Every move of a label is recorded for ever.

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


@dataclass(frozen=True, slots=True)
class ConfigRef:
    """A pinned version. Before a run is saved, a number, a digest or a label may stand alone."""

    kind: str
    name: str
    version: int = 0
    digest: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class PinnedConfig:
    """A version a run is pinned to; the body is None where the store does not have it."""

    ref: ConfigRef
    body: Payload | None


class ConfigStore(Protocol):
    """Versions of prompts, tools, agents and evaluators, and the labels that point to them."""

    async def register_version(self, new: NewVersion) -> RegisteredVersion:
        """Store a body as the config's next version and move the labels to it: all or none.

        The config need not exist. A body that is one of its versions already is that version,
        `deduplicated`, with the description and metadata it has; the labels are moved all the same,
        each as by `change_label`.
        """

    async def get_version(
        self, key: ConfigKey, selector: VersionSelector = LATEST
    ) -> ConfigVersion:
        """Return a version with its body.

        None such raises `ConfigVersionNotFound`, for a label `ConfigLabelNotFound`.
        """

    async def list_versions(
        self, key: ConfigKey, *, limit: int, after: int | None
    ) -> Page[ConfigVersion, int]:
        """Return up to `limit` versions, newest first; those below the number `after` if given."""

    async def list_configs(
        self,
        project: str,
        *,
        kind: str,
        name_prefix: str,
        limit: int,
        after: tuple[str, str] | None,
    ) -> Page[Config, tuple[str, str]]:
        """Return up to `limit` configs by kind and name; those behind `after` where it is given.

        An empty `kind` is every kind.
        """

    async def change_label(self, key: ConfigKey, change: LabelChange) -> LabelAnswer:
        """Point a label to a version, or remove it, and record the move.

        A move recorded under the `request_id` is the answer, `deduplicated`, wherever the label is
        now; one to another version raises `IdempotencyMismatch`. A label that is there already
        stays, `deduplicated`, and nothing is recorded. Otherwise an unknown version raises
        `ConfigVersionNotFound`, a label that is not at `expected_version` raises `LabelConflict`.
        """

    async def list_label_moves(
        self, key: ConfigKey, label: str, *, limit: int, after: int | None
    ) -> Page[LabelMove, int]:
        """Return up to `limit` moves of a label, or of all for an empty one, newest first."""
