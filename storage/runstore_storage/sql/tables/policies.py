"""The table of policies."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Integer,
    Interval,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from runstore_storage.sql.tables.columns import id_column, time_column
from runstore_storage.sql.tables.metadata import metadata

policies = Table(
    "policies",
    metadata,
    id_column("project"),
    id_column("name"),
    Column("statuses", ARRAY(SmallInteger), nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("tags", ARRAY(Text), nullable=False),
    Column("labels", JSONB, nullable=False),
    Column("keep_snapshots", Interval),
    Column("keep_last_snapshots", Integer, nullable=False),
    Column("keep_artifacts", Interval),
    Column("keep_search_text", Interval),
    Column("keep_run", Interval),
    Column("includes_external", Boolean, nullable=False),
    Column("put_by", JSONB, nullable=False),
    time_column("put_at"),
    Column("keep_events", Interval),
    PrimaryKeyConstraint("project", "name", name="pk_policies"),
    CheckConstraint(
        "num_nonnulls(keep_events, keep_snapshots, keep_artifacts, keep_search_text, keep_run) > 0",
        name="ck_policies_keep",
    ),
    CheckConstraint(
        "least(keep_events, keep_snapshots, keep_artifacts, keep_search_text, keep_run)"
        " > interval '0' AND keep_last_snapshots >= 0",
        name="ck_policies_positive",
    ),
)
