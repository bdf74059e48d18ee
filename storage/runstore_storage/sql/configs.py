"""configs and config_versions: immutable versions, and the row that numbers them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runstore_storage.contract.configs import (
    Config,
    ConfigKey,
    ConfigLabel,
    ConfigVersion,
    NewVersion,
    VersionSelector,
)
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import Statement, tenant
from runstore_storage.sql import scopes
from runstore_storage.sql.columns import payload_columns, payload_of

_KEYED = "project = :project AND project = :scope AND kind = :kind AND name = :name"
_FIND = tenant(f"SELECT config FROM configs WHERE {_KEYED}")
_LOCK = tenant(f"SELECT config FROM configs WHERE {_KEYED} FOR NO KEY UPDATE")
_CREATE = tenant("""
    INSERT INTO configs (project, kind, name, created_at)
    VALUES (:scope, :kind, :name, clock_timestamp())
    ON CONFLICT ON CONSTRAINT uq_configs_project_kind_name DO NOTHING
""")
_FIND_DIGEST = tenant(f"""
    SELECT version, created_at FROM config_versions
    WHERE config = :config AND digest = :digest AND {scopes.HAS_CONFIG}
""")
_HAS_VERSION = tenant(f"""
    SELECT EXISTS (
        SELECT FROM config_versions
        WHERE config = :config AND version = :version AND {scopes.HAS_CONFIG}
    )
""")
_INSERT = tenant("""
    WITH next AS (
        UPDATE configs SET last_version = last_version + 1
        WHERE config = :config AND project = :scope
        RETURNING last_version
    )
    INSERT INTO config_versions (config, version, digest, is_json, content_type, raw_bytes, data,
                                 description, metadata_json, metadata_binary, metadata_type, actor,
                                 created_at)
    SELECT :config, last_version, :digest, :is_json, :content_type, :raw_bytes, :data, :description,
           :metadata_json::text::json, :metadata_binary, :metadata_type, :actor,
           clock_timestamp()
    FROM next
    RETURNING version, created_at
""")
_SELECTED = """
    c.kind, c.name, v.version, v.digest, v.is_json, v.content_type, v.raw_bytes, v.description,
    v.metadata_json::text, v.metadata_binary, v.metadata_type, v.actor, v.created_at,
    ARRAY(
        SELECT l.label FROM config_labels l
        WHERE l.config = v.config AND l.version = v.version ORDER BY l.label
    ) AS labels
"""
_GET = f"""
    SELECT {_SELECTED}, v.data
    FROM configs c JOIN config_versions v ON v.config = c.config
    WHERE c.config = :config AND c.project = :scope AND {{condition}}
"""
_BY_NUMBER = tenant(_GET.format(condition="v.version = :version"))
_BY_DIGEST = tenant(_GET.format(condition="v.digest = :digest"))
_BY_LABEL = tenant(
    _GET.format(
        condition="v.version ="
        " (SELECT version FROM config_labels WHERE config = :config AND label = :label)"
    )
)
_LATEST = tenant(_GET.format(condition="v.version = c.last_version"))
_PAGE = tenant(f"""
    SELECT {_SELECTED}
    FROM configs c JOIN config_versions v ON v.config = c.config
    WHERE c.config = :config AND c.project = :scope
      AND (:before::bigint IS NULL OR v.version < :before)
    ORDER BY v.version DESC LIMIT :limit
""")
_CONFIGS = tenant(f"""
    SELECT {_SELECTED}, c.created_at AS config_created_at,
           l.all_labels, l.label_versions, l.label_actors, l.label_times
    FROM configs c
    JOIN config_versions v ON v.config = c.config AND v.version = c.last_version
    CROSS JOIN LATERAL (
        SELECT array_agg(label ORDER BY label) AS all_labels,
               array_agg(version ORDER BY label) AS label_versions,
               array_agg(actor ORDER BY label) AS label_actors,
               array_agg(moved_at ORDER BY label) AS label_times
        FROM config_labels WHERE config = c.config
    ) AS l
    WHERE c.project = :project AND c.project = :scope AND (:kind = '' OR c.kind = :kind)
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
    """The config's number; any other writer of it waits for this transaction."""
    number: int | None = (await conn.execute(_LOCK, _keyed(key))).scalar_one_or_none()
    return number


async def create(conn: Connection, key: ConfigKey) -> None:
    """Create the config where it does not exist yet."""
    in_scope(key.project)
    await conn.execute(_CREATE, {"kind": key.kind, "name": key.name})


async def find_digest(conn: Connection, config: int, digest: str) -> tuple[int, datetime] | None:
    """The number of the version with this content, and when it was registered."""
    row = (await conn.execute(_FIND_DIGEST, {"config": config, "digest": digest})).one_or_none()
    return (row["version"], row["created_at"]) if row else None


async def has_version(conn: Connection, config: int, version: int) -> bool:
    """Whether the config has a version of this number."""
    return bool(
        (await conn.execute(_HAS_VERSION, {"config": config, "version": version})).scalar_one()
    )


async def insert(
    conn: Connection, config: int, new: NewVersion, body: StoredBody
) -> tuple[int, datetime]:
    """Add the next version of a locked config; its number, and when it was registered."""
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
    return row["version"], row["created_at"]


async def get(
    conn: Connection, config: int, selector: VersionSelector
) -> tuple[ConfigVersion, bool, str, bytes] | None:
    """The version without its body; then whether that is JSON, its media type, its stored bytes."""
    selected, value = _selected(selector)
    row = (await conn.execute(selected, {"config": config, **value})).one_or_none()
    return (_version(row), row["is_json"], row["content_type"], row["data"]) if row else None


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


def _selected(selector: VersionSelector) -> tuple[Statement, dict[str, int | str]]:
    """The statement that finds what a selector names, and the value it takes."""
    if selector.version:
        return _BY_NUMBER, {"version": selector.version}
    if selector.digest:
        return _BY_DIGEST, {"digest": selector.digest}
    if selector.label:
        return _BY_LABEL, {"label": selector.label}
    return _LATEST, {}


def _keyed(key: ConfigKey) -> dict[str, str]:
    return {"project": key.project, "kind": key.kind, "name": key.name}


def _version(row: Row) -> ConfigVersion:
    return ConfigVersion(
        kind=row["kind"],
        name=row["name"],
        version=row["version"],
        digest=row["digest"],
        body=None,
        body_bytes=row["raw_bytes"],
        description=row["description"],
        metadata=payload_of(row, "metadata"),
        actor=row["actor"],
        created_at=row["created_at"],
        labels=tuple(row["labels"]),
    )


def _config(row: Row) -> Config:
    columns = (row["all_labels"], row["label_versions"], row["label_actors"], row["label_times"])
    labels = zip(*(column or () for column in columns), strict=True)
    return Config(
        kind=row["kind"],
        name=row["name"],
        latest=_version(row),
        labels=tuple(ConfigLabel(*each) for each in labels),
        created_at=row["config_created_at"],
    )
