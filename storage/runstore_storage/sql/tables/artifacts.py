"""Tables of artifacts and of the objects that hold their bytes."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)

from runstore_storage.sql.tables.columns import id_column, payload_columns, text_column, time_column
from runstore_storage.sql.tables.metadata import metadata

objects = Table(
    "objects",
    metadata,
    Column("object", BigInteger, Identity(always=True), nullable=False),
    id_column("project"),
    Column("sha256", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    id_column("location"),
    time_column("created_at"),
    PrimaryKeyConstraint("object", name="pk_objects"),
    UniqueConstraint("project", "sha256", name="uq_objects_sha256"),
    CheckConstraint("octet_length(sha256) = 32", name="ck_objects_sha256"),
    CheckConstraint("size >= 0", name="ck_objects_size"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("run", BigInteger, nullable=False),
    id_column("name"),
    Column("version", BigInteger, nullable=False),
    id_column("artifact_id"),
    id_column("project"),
    text_column("type"),
    text_column("content_type"),
    Column("object", BigInteger),
    text_column("url"),
    Column("sha256", LargeBinary),
    Column("size", BigInteger),
    *payload_columns("metadata"),
    text_column("actor"),
    time_column("created_at"),
    PrimaryKeyConstraint("run", "name", "version", name="pk_artifacts"),
    UniqueConstraint("project", "artifact_id", name="uq_artifacts_artifact_id"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_artifacts_run"),
    ForeignKeyConstraint(["object"], ["objects.object"], name="fk_artifacts_object"),
    CheckConstraint("version >= 1", name="ck_artifacts_version"),
    CheckConstraint(
        "CASE WHEN object IS NULL THEN url <> ''"
        " ELSE url = '' AND sha256 IS NOT NULL AND size IS NOT NULL END",
        name="ck_artifacts_place",
    ),
    Index("ix_artifacts_run", "run", "artifact_id"),
    Index("ix_artifacts_object", "object", postgresql_where=text("object IS NOT NULL")),
)
