"""The table of holds."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from runstore_storage.sql.tables.columns import id_column, time_column
from runstore_storage.sql.tables.metadata import metadata

holds = Table(
    "holds",
    metadata,
    id_column("hold_id"),
    id_column("project"),
    Column("run", BigInteger),
    Column("statuses", ARRAY(SmallInteger), nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("tags", ARRAY(Text), nullable=False),
    Column("labels", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    Column("placed_by", JSONB, nullable=False),
    time_column("placed_at"),
    Column("released_by", JSONB),
    time_column("released_at", nullable=True),
    PrimaryKeyConstraint("hold_id", name="pk_holds"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_holds_run"),
    CheckConstraint(
        "run IS NULL OR (statuses = '{}' AND plan_id = '' AND tags = '{}' AND labels = '{}')",
        name="ck_holds_target",
    ),
    CheckConstraint("num_nonnulls(released_by, released_at) IN (0, 2)", name="ck_holds_released"),
    Index("ix_holds_project", "project", "placed_at", "hold_id"),
    Index("ix_holds_holding", "project", postgresql_where=text("released_at IS NULL")),
)
