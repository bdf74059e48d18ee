"""Pinning: the config versions that a run is saved with, resolved from references."""

from __future__ import annotations

from collections.abc import Sequence

from runstore_storage.contract.configs import ConfigKey, ConfigRef
from runstore_storage.contract.errors import (
    ConfigLabelNotFound,
    ConfigNotFound,
    ConfigVersionNotFound,
)
from runstore_storage.database.connection import Connection
from runstore_storage.sql import pins
from runstore_storage.sql.pins import Registered


async def pin(conn: Connection, project: str, refs: Sequence[ConfigRef]) -> tuple[ConfigRef, ...]:
    """Resolve each reference to a number and digest, in order.

    A reference by only a number, digest or label must be registered in the project, or it raises
    `ConfigNotFound`, `ConfigVersionNotFound` or `ConfigLabelNotFound`. A reference by number and
    digest is kept as given if the project has registered neither; if the project knows one of them
    and they are not the same version, it raises `ConfigVersionNotFound`.
    """
    if not refs:
        return ()
    known = await pins.find(conn, project, refs)
    return tuple(_pin(project, ref, each) for ref, each in zip(refs, known, strict=True))


def _pin(project: str, ref: ConfigRef, known: Registered) -> ConfigRef:
    key = ConfigKey(project, ref.kind, ref.name)
    if ref.version and ref.digest:
        if not known.version and not known.version_of_digest:
            return ref
        if known.version_of_digest != ref.version:
            raise ConfigVersionNotFound(key, f"{ref.version} with digest {ref.digest}")
        return ref
    if not known.is_config:
        raise ConfigNotFound(key)
    if ref.digest:
        if not known.version_of_digest:
            raise ConfigVersionNotFound(key, ref.digest)
        return ConfigRef(ref.kind, ref.name, known.version_of_digest, ref.digest)
    if not known.version:
        if ref.label:
            raise ConfigLabelNotFound(key, ref.label)
        raise ConfigVersionNotFound(key, str(ref.version))
    return ConfigRef(ref.kind, ref.name, known.version, known.digest)
