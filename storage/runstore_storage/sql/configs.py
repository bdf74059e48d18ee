"""configs and config_versions: immutable versions under a row that numbers them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runstore_storage.contract.configs import (
    Config,
    ConfigKey,
    ConfigLabel,
    ConfigVersion,
    NewVersion,
    VersionSelector,
)
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import composed, statement
from runstore_storage.sql.columns import payload_columns, payload_of

_KEYED = "project = :project AND kind = :kind AND name = :name"
_FIND = statement(f"SELECT config FROM configs WHERE {_KEYED}")
_LOCK = statement(f"SELECT config FROM configs WHERE {_KEYED} FOR NO KEY UPDATE")
_CREATE = statement("""
    INSERT INTO configs (project, kind, name, created_at)
    VALUES (:project, :kind, :name, clock_timestamp())
    ON CONFLICT ON CONSTRAINT uq_configs_project_kind_name DO NOTHING
""")
_FIND_DIGEST = statement(
    "SELECT version, created_at FROM config_versions WHERE config = :config AND digest = :digest"
)
_HAS_VERSION = statement(
    "SELECT EXISTS (SELECT FROM config_versions WHERE config = :config AND version = :version)"
)
_INSERT = statement("""
    WITH next AS (
        UPDATE configs SET last_version = last_version + 1 WHERE config = :config
        RETURNING last_version
    )
    INSERT INTO config_versions (config, version, digest, is_json, content_type, raw_bytes, data,
                                 description, metadata_json, metadata_binary, metadata_type, actor,
                                 created_at)
    SELECT :config, last_version, :digest, :is_json, :content_type, :raw_bytes, :data, :description,
           CAST(CAST(:metadata_json AS text) AS json), :metadata_binary, :metadata_type, :actor,
           clock_timestamp()
    FROM next
    RETURNING version, created_at
""")
_SELECTED = (
    "c.kind, c.name, v.version, v.digest, v.is_json, v.content_type, v.raw_bytes, v.description,"
    " v.metadata_json::text, v.metadata_binary, v.metadata_type, v.actor, v.created_at,"
    " ARRAY(SELECT l.label FROM config_labels l"
    " WHERE l.config = v.config AND l.version = v.version ORDER BY l.label)"
)
_SELECTED_COLUMNS = 14
_OF_CONFIG = (
    " FROM configs c JOIN config_versions v ON v.config = c.config WHERE c.config = :config"
)
_BY_LABEL = (
    "v.version = (SELECT version FROM config_labels WHERE config = :config AND label = :label)"
)
_PAGE = statement(
    f"SELECT {_SELECTED}{_OF_CONFIG} AND (CAST(:before AS bigint) IS NULL OR v.version < :before)"
    " ORDER BY v.version DESC LIMIT :limit"
)
_CONFIGS = statement(f"""
    SELECT {_SELECTED}, c.created_at, l.labels, l.versions, l.actors, l.times
    FROM configs c
    JOIN config_versions v ON v.config = c.config AND v.version = c.last_version
    CROSS JOIN LATERAL (
        SELECT array_agg(label ORDER BY label) AS labels,
               array_agg(version ORDER BY label) AS versions,
               array_agg(actor ORDER BY label) AS actors,
               array_agg(moved_at ORDER BY label) AS times
        FROM config_labels WHERE config = c.config
    ) AS l
    WHERE c.project = :project AND (:kind = '' OR c.kind = :kind)
      AND starts_with(c.name, :name_prefix) AND (c.kind, c.name) > (:after_kind, :after_name)
    ORDER BY c.kind, c.name LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class StoredBody:
    """A body as it is stored: its digest, its size, its compressed bytes."""

    digest: str
    raw_bytes: int
    data: bytes


async def find(conn: Connection, key: ConfigKey) -> int | None:
    """The config's number."""
    number: int | None = (await conn.execute(_FIND, _keyed(key))).scalar_one_or_none()
    return number


async def lock(conn: Connection, key: ConfigKey) -> int | None:
    """The config's number; whoever else locks it waits for this transaction."""
    number: int | None = (await conn.execute(_LOCK, _keyed(key))).scalar_one_or_none()
    return number


async def create(conn: Connection, key: ConfigKey) -> None:
    """Make the config where it is not there yet."""
    await conn.execute(_CREATE, _keyed(key))


async def find_digest(conn: Connection, config: int, digest: str) -> tuple[int, datetime] | None:
    """Number and time of the version with this content."""
    row = (await conn.execute(_FIND_DIGEST, {"config": config, "digest": digest})).one_or_none()
    return (row[0], row[1]) if row else None


async def has_version(conn: Connection, config: int, version: int) -> bool:
    """Whether the config has a version of this number."""
    return bool(
        (await conn.execute(_HAS_VERSION, {"config": config, "version": version})).scalar_one()
    )


async def insert(
    conn: Connection, config: int, new: NewVersion, body: StoredBody
) -> tuple[int, datetime]:
    """Add the next version of a locked config; its number and time."""
    metadata_json, metadata_binary, metadata_type = payload_columns(new.metadata)
    found = await conn.execute(
        _INSERT,
        {
            "config": config,
            "digest": body.digest,
            "is_json": isinstance(new.body.content, str),
            "content_type": new.body.content_type,
            "raw_bytes": body.raw_bytes,
            "data": body.data,
            "description": new.description,
            "metadata_json": metadata_json,
            "metadata_binary": metadata_binary,
            "metadata_type": metadata_type,
            "actor": new.actor,
        },
    )
    row = found.one()
    return row[0], row[1]


async def get(
    conn: Connection, config: int, selector: VersionSelector
) -> tuple[ConfigVersion, bool, str, bytes] | None:
    """The version without its body; then whether that is JSON, its media type, its stored bytes."""
    condition, chosen = _choice(selector)
    chosen_version = composed(f"SELECT {_SELECTED}, v.data{_OF_CONFIG} AND {condition}")
    row = (await conn.execute(chosen_version, {"config": config, **chosen})).one_or_none()
    return (_version(row), row[4], row[5], row[_SELECTED_COLUMNS]) if row else None


async def page(
    conn: Connection, config: int, *, limit: int, before: int | None
) -> tuple[ConfigVersion, ...]:
    """Versions without bodies, newest first."""
    values = {"config": config, "limit": limit, "before": before}
    return tuple(map(_version, await conn.execute(_PAGE, values)))


async def page_of_configs(
    conn: Connection,
    project: str,
    *,
    kind: str,
    name_prefix: str,
    limit: int,
    after: tuple[str, str],
) -> tuple[Config, ...]:
    """Configs by kind and name."""
    values = {
        "project": project,
        "kind": kind,
        "name_prefix": name_prefix,
        "limit": limit,
        "after_kind": after[0],
        "after_name": after[1],
    }
    return tuple(map(_config, await conn.execute(_CONFIGS, values)))


def _choice(selector: VersionSelector) -> tuple[str, dict[str, int | str]]:
    """The condition of a selector, and its parameter."""
    if selector.version:
        return "v.version = :version", {"version": selector.version}
    if selector.digest:
        return "v.digest = :digest", {"digest": selector.digest}
    if selector.label:
        return _BY_LABEL, {"label": selector.label}
    return "v.version = c.last_version", {}


def _keyed(key: ConfigKey) -> dict[str, str]:
    return {"project": key.project, "kind": key.kind, "name": key.name}


def _version(row: Sequence[Any]) -> ConfigVersion:
    return ConfigVersion(
        kind=row[0],
        name=row[1],
        version=row[2],
        digest=row[3],
        body=None,
        body_bytes=row[6],
        description=row[7],
        metadata=payload_of(row[8], row[9], row[10]),
        actor=row[11],
        created_at=row[12],
        labels=tuple(row[13]),
    )


def _config(row: Sequence[Any]) -> Config:
    created_at, *columns = row[_SELECTED_COLUMNS:]
    labels = zip(*(column or () for column in columns), strict=True)
    return Config(
        kind=row[0],
        name=row[1],
        latest=_version(row),
        labels=tuple(ConfigLabel(*each) for each in labels),
        created_at=created_at,
    )
