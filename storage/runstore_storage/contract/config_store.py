"""The configs' contract: immutable versions, and labels that move between them.

A config is addressed by project, kind and name; one that the project does not have raises
`ConfigNotFound`. Its versions are 1, 2, 3 ... without gaps, in commit order, and never change; the
database refuses it too. Every move of a label is recorded for ever.

The rules of `Store` hold here too.
"""

from __future__ import annotations

from typing import Protocol

from runstore_storage.contract.configs import (
    LATEST,
    Config,
    ConfigKey,
    ConfigVersion,
    LabelAnswer,
    LabelChange,
    LabelMove,
    NewVersion,
    RegisteredVersion,
    VersionSelector,
)


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
        self, key: ConfigKey, *, limit: int, before: int | None
    ) -> tuple[tuple[ConfigVersion, ...], bool]:
        """Return up to `limit` versions below `before`, newest first; True when more follow."""

    async def list_configs(
        self, project: str, *, kind: str, name_prefix: str, limit: int, after: tuple[str, str]
    ) -> tuple[tuple[Config, ...], bool]:
        """Return up to `limit` configs by kind and name from behind `after` on.

        An empty `kind` is every kind. True when more follow.
        """

    async def change_label(self, key: ConfigKey, change: LabelChange) -> LabelAnswer:
        """Point a label to a version, or remove it, and record the move.

        A move recorded under the `request_id` is the answer, `deduplicated`, wherever the label is
        now; one to another version raises `IdempotencyMismatch`. A label that is there already
        stays, `deduplicated`, and nothing is recorded. Otherwise an unknown version raises
        `ConfigVersionNotFound`, a label that is not at `expected_version` raises `LabelConflict`.
        """

    async def list_label_moves(
        self, key: ConfigKey, label: str, *, limit: int, before: int | None
    ) -> tuple[tuple[LabelMove, ...], int | None]:
        """Return up to `limit` moves of a label, or of all for an empty one, newest first.

        Beside them `before` of the next page, None at the end.
        """
