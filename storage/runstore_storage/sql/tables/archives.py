"""The tables of what is read from archives."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    UniqueConstraint,
    text,
)

from runstore_storage.sql.tables.columns import id_column, salt_column, time_column
from runstore_storage.sql.tables.metadata import metadata

archives = Table(
    "archives",
    metadata,
    Column("run", BigInteger, nullable=False, autoincrement=False),
    Column("n", Integer, nullable=False, autoincrement=False),
    id_column("project"),
    Column("birth", LargeBinary, nullable=False),
    Column("state", SmallInteger, nullable=False, server_default="1"),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_position", BigInteger, nullable=False, server_default="0"),
    Column("record", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("manifest_hash", LargeBinary),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("removal", BigInteger),
    Column("restore_record", BigInteger),
    Column("restored_for", BigInteger),
    time_column("begun_at"),
    time_column("changed_at"),
    Column("is_cleared", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("run", "n", name="pk_archives"),
    ForeignKeyConstraint(["run"], ["runs.run"], name="fk_archives_run"),
    ForeignKeyConstraint(["removal"], ["removals.removal"], name="fk_archives_removal"),
    ForeignKeyConstraint(
        ["restored_for"], ["erasure_requests.erasure"], name="fk_archives_restored_for"
    ),
    CheckConstraint("state BETWEEN 1 AND 8", name="ck_archives_state"),
    CheckConstraint("first_seq >= 1 AND first_seq <= last_seq", name="ck_archives_seqs"),
    CheckConstraint("state IN (1, 7) OR manifest_hash IS NOT NULL", name="ck_archives_manifest"),
    Index("ix_archives_record", "project", "record"),
    Index(
        "ix_archives_restore_record",
        "project",
        "restore_record",
        postgresql_where=text("restore_record IS NOT NULL"),
    ),
    Index("ix_archives_removal", "removal"),
    Index(
        "ix_archives_restored_for",
        "restored_for",
        postgresql_where=text("restored_for IS NOT NULL"),
    ),
    Index(
        "ix_archives_waiting",
        "begun_at",
        "run",
        "n",
        postgresql_where=text("state <= 2 AND NOT is_cleared"),
    ),
    Index("ix_archives_open", "state", postgresql_where=text("NOT is_cleared")),
)

archived_events = Table(
    "archived_events",
    metadata,
    Column("run", BigInteger, nullable=False, autoincrement=False),
    Column("seq", BigInteger, nullable=False, autoincrement=False),
    id_column("event_id"),
    time_column("recorded_at"),
    Column("is_terminal", Boolean, nullable=False),
    Column("payload_blob", BigInteger),
    salt_column(),
    Column("body_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("run", "seq", name="pk_archived_events"),
    UniqueConstraint("run", "event_id", name="uq_archived_events_event_id"),
    Index(
        "ix_archived_events_payload_blob",
        "run",
        "payload_blob",
        postgresql_where=text("payload_blob IS NOT NULL"),
    ),
)
