"""The table of events, partitioned by run."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from runstore_storage.sql.tables.columns import (
    id_column,
    payload_columns,
    salt_column,
    subjects_column,
    text_column,
    time_column,
    usage_columns,
)
from runstore_storage.sql.tables.metadata import metadata

events = Table(
    "events",
    metadata,
    Column("run", BigInteger, nullable=False, autoincrement=False),
    Column("seq", BigInteger, nullable=False, autoincrement=False),
    id_column("event_id"),
    Column("type", Text, nullable=False),
    text_column("node_id"),
    text_column("actor"),
    text_column("model"),
    text_column("tool"),
    Column("tags", ARRAY(Text), nullable=False, server_default="{}"),
    *payload_columns("payload"),
    Column("payload_bytes", Integer, nullable=False),
    *usage_columns(nullable=True),
    text_column("trace_parent"),
    time_column("occurred_at", nullable=True),
    time_column("recorded_at"),
    Column("is_terminal", Boolean, nullable=False),
    Column("body_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("payload_blob", BigInteger),
    salt_column(),
    subjects_column(),
    PrimaryKeyConstraint("run", "seq", name="pk_events"),
    UniqueConstraint("run", "event_id", name="uq_events_event_id"),
    CheckConstraint("seq >= 1", name="ck_events_seq"),
    CheckConstraint("octet_length(hash) = 32", name="ck_events_hash"),
    Index("uq_events_terminal", "run", unique=True, postgresql_where=text("is_terminal")),
    Index(
        "ix_events_payload_blob",
        "run",
        "payload_blob",
        postgresql_where=text("payload_blob IS NOT NULL"),
    ),
    postgresql_partition_by="RANGE (run)",
)
