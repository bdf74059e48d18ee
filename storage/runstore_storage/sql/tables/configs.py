"""Tables of configs: their versions, their labels, and every move of a label."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from runstore_storage.sql.tables.columns import id_column, payload_columns, text_column, time_column
from runstore_storage.sql.tables.metadata import metadata

configs = Table(
    "configs",
    metadata,
    Column("config", BigInteger, Identity(always=True), nullable=False),
    id_column("project"),
    id_column("kind"),
    id_column("name"),
    Column("last_version", BigInteger, nullable=False, server_default="0"),
    time_column("created_at"),
    PrimaryKeyConstraint("config", name="pk_configs"),
    UniqueConstraint("project", "kind", "name", name="uq_configs_project_kind_name"),
    CheckConstraint("project <> '' AND kind <> '' AND name <> ''", name="ck_configs_identity"),
    CheckConstraint("last_version >= 0", name="ck_configs_last_version"),
)

config_versions = Table(
    "config_versions",
    metadata,
    Column("config", BigInteger, nullable=False, autoincrement=False),
    Column("version", BigInteger, nullable=False, autoincrement=False),
    id_column("digest"),
    Column("is_json", Boolean, nullable=False),
    text_column("content_type"),
    Column("raw_bytes", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    text_column("description"),
    *payload_columns("metadata"),
    text_column("actor"),
    time_column("created_at"),
    PrimaryKeyConstraint("config", "version", name="pk_config_versions"),
    UniqueConstraint("config", "digest", name="uq_config_versions_digest"),
    ForeignKeyConstraint(["config"], ["configs.config"], name="fk_config_versions_config"),
    CheckConstraint("version >= 1", name="ck_config_versions_version"),
)

config_labels = Table(
    "config_labels",
    metadata,
    Column("config", BigInteger, nullable=False),
    id_column("label"),
    Column("version", BigInteger, nullable=False),
    text_column("actor"),
    time_column("moved_at"),
    PrimaryKeyConstraint("config", "label", name="pk_config_labels"),
    ForeignKeyConstraint(
        ["config", "version"],
        ["config_versions.config", "config_versions.version"],
        name="fk_config_labels_version",
    ),
)

config_label_moves = Table(
    "config_label_moves",
    metadata,
    Column("move", BigInteger, Identity(always=True), nullable=False),
    Column("config", BigInteger, nullable=False, autoincrement=False),
    id_column("label"),
    Column("from_version", BigInteger, nullable=False),
    Column("to_version", BigInteger, nullable=False),
    text_column("actor"),
    text_column("request_id"),
    time_column("moved_at"),
    PrimaryKeyConstraint("config", "move", name="pk_config_label_moves"),
    ForeignKeyConstraint(["config"], ["configs.config"], name="fk_config_label_moves_config"),
    CheckConstraint(
        "from_version >= 0 AND to_version >= 0 AND from_version <> to_version",
        name="ck_config_label_moves_moved",
    ),
    Index("ix_config_label_moves_label", "config", "label", "move"),
    Index(
        "uq_config_label_moves_request",
        "config",
        "label",
        "request_id",
        unique=True,
        postgresql_where=text("request_id <> ''"),
    ),
)
