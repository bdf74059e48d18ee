"""The table of what holds for the whole store."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    text,
)

from runstore_storage.sql.tables.metadata import metadata

store_flags = Table(
    "store_flags",
    metadata,
    Column("is_only", Boolean, nullable=False, server_default=text("true")),
    Column("chain_version", SmallInteger, nullable=False),
    PrimaryKeyConstraint("is_only", name="pk_store_flags"),
    CheckConstraint("is_only", name="ck_store_flags_is_only"),
    CheckConstraint("chain_version IN (1, 2)", name="ck_store_flags_chain_version"),
)
