"""The table of usage counts."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    text,
)

from runstore_storage.sql.columns import USAGE
from runstore_storage.sql.tables.columns import id_column
from runstore_storage.sql.tables.metadata import metadata

usage_counts = Table(
    "usage_counts",
    metadata,
    Column("run", BigInteger, nullable=False, autoincrement=False),
    Column("day", Date, nullable=False),
    id_column("type"),
    id_column("node_id"),
    id_column("model"),
    id_column("tool"),
    Column("facets", LargeBinary, nullable=False),
    Column("events", BigInteger, nullable=False),
    *[Column(name, BigInteger, nullable=False) for name in USAGE],
    PrimaryKeyConstraint("run", "day", "facets", name="pk_usage_counts"),
    CheckConstraint("events >= 1", name="ck_usage_counts_events"),
    Index("ix_usage_counts_model", "model", "run", postgresql_where=text("model <> ''")),
    Index("ix_usage_counts_tool", "tool", "run", postgresql_where=text("tool <> ''")),
    Index("ix_usage_counts_day", "day", "run"),
)
