"""The table of blobs: contents of snapshot parts and of large payloads."""

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
    Text,
    UniqueConstraint,
    text,
)

from runstore_storage.sql.tables.columns import text_column
from runstore_storage.sql.tables.metadata import metadata

blobs = Table(
    "blobs",
    metadata,
    Column("run", BigInteger, nullable=False),
    Column("blob", BigInteger, Identity(always=True), nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("is_json", Boolean, nullable=False),
    text_column("content_type"),
    Column("raw_bytes", Integer, nullable=False),
    Column("data", LargeBinary),
    Column("location", Text),
    PrimaryKeyConstraint("run", "blob", name="pk_blobs"),
    UniqueConstraint("run", "sha256", name="uq_blobs_sha256"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_blobs_run"),
    CheckConstraint("num_nonnulls(data, location) = 1", name="ck_blobs_place"),
    Index("ix_blobs_location", "location", postgresql_where=text("location IS NOT NULL")),
)
