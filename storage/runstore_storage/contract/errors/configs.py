"""What is refused of configs."""

from __future__ import annotations

from runstore_storage.contract.configs import ConfigKey
from runstore_storage.contract.errors.base import StorageError


class ConfigNotFound(StorageError):
    def __init__(self, key: ConfigKey) -> None:
        super().__init__(
            f"project {key.project!r} has no {key.kind} {key.name!r}",
            project=key.project,
            kind=key.kind,
            name=key.name,
        )


class ConfigVersionNotFound(StorageError):
    def __init__(self, key: ConfigKey, version: str) -> None:
        super().__init__(
            f"{key.kind} {key.name!r} has no version {version}",
            kind=key.kind,
            name=key.name,
            version=version,
        )


class ConfigLabelNotFound(StorageError):
    def __init__(self, key: ConfigKey, label: str) -> None:
        super().__init__(
            f"{key.kind} {key.name!r} has no label {label!r}",
            kind=key.kind,
            name=key.name,
            label=label,
        )


class LabelConflict(StorageError):
    def __init__(
        self, key: ConfigKey, label: str, expected_version: int, current_version: int
    ) -> None:
        super().__init__(
            f"label {label!r} of {key.kind} {key.name!r} is at version {current_version},"
            f" not {expected_version}",
            kind=key.kind,
            name=key.name,
            label=label,
            expected_version=expected_version,
            current_version=current_version,
        )
