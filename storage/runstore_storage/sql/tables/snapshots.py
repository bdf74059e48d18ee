"""Tables of snapshots: manifests, and results of tasks since a snapshot."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from runstore_storage.sql.tables.columns import (
    id_column,
    payload_columns,
    salt_column,
    text_column,
    time_column,
)
from runstore_storage.sql.tables.metadata import metadata

snapshots = Table(
    "snapshots",
    metadata,
    Column("run", BigInteger, nullable=False),
    id_column("namespace"),
    id_column("snapshot_id"),
    text_column("parent_snapshot_id"),
    Column("seq", BigInteger, nullable=False),
    text_column("plan_version_id"),
    Column("reason", SmallInteger, nullable=False),
    Column("pending_node_ids", ARRAY(Text), nullable=False, server_default="{}"),
    Column("manifest", LargeBinary, nullable=False),
    Column("parts_bytes", BigInteger, nullable=False),
    *payload_columns("metadata"),
    Column("metadata_terms", ARRAY(Text), nullable=False, server_default="{}"),
    time_column("created_at"),
    Column("content_hash", LargeBinary, nullable=False),
    salt_column(),
    PrimaryKeyConstraint("run", "namespace", "snapshot_id", name="pk_snapshots"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_snapshots_run"),
    CheckConstraint("seq >= 0", name="ck_snapshots_seq"),
    Index("ix_snapshots_latest", "run", "namespace", "seq", "snapshot_id"),
    Index("ix_snapshots_created", "created_at", "run"),
    Index("ix_snapshots_metadata", "metadata_terms", postgresql_using="gin"),
)

task_writes = Table(
    "task_writes",
    metadata,
    Column("run", BigInteger, nullable=False),
    id_column("namespace"),
    id_column("snapshot_id"),
    id_column("task_id"),
    Column("index", Integer, nullable=False),
    text_column("channel"),
    *payload_columns("payload"),
    Column("body_hash", LargeBinary, nullable=False),
    salt_column(),
    Column("seq", BigInteger),
    time_column("written_at", nullable=True),
    PrimaryKeyConstraint(
        "run", "namespace", "snapshot_id", "task_id", "index", name="pk_task_writes"
    ),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_task_writes_run"),
)
