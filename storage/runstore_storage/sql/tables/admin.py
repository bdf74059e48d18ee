"""Tables of access: who may call, how much, and what was done about that."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from runstore_storage.sql.tables.columns import id_column, time_column
from runstore_storage.sql.tables.metadata import metadata

tokens = Table(
    "tokens",
    metadata,
    id_column("token_id"),
    id_column("project"),
    Column("name", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("grants", JSONB, nullable=False),
    Column("created_by", JSONB, nullable=False),
    time_column("created_at"),
    time_column("expires_at"),
    time_column("revoked_at", nullable=True),
    time_column("last_used_at", nullable=True),
    PrimaryKeyConstraint("token_id", name="pk_tokens"),
    CheckConstraint("octet_length(secret_hash) = 32", name="ck_tokens_secret_hash"),
    CheckConstraint("expires_at > created_at", name="ck_tokens_expires_at"),
    Index("ix_tokens_project", "project", "created_at", "token_id"),
)

credential_epoch = Table(
    "credential_epoch",
    metadata,
    Column("is_only", Boolean, nullable=False, server_default=text("true")),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("is_only", name="pk_credential_epoch"),
    CheckConstraint("is_only", name="ck_credential_epoch_is_only"),
)

project_limits = Table(
    "project_limits",
    metadata,
    id_column("project"),
    Column("calls_per_second", BigInteger, nullable=False),
    Column("events_per_second", BigInteger, nullable=False),
    Column("bytes_per_second", BigInteger, nullable=False),
    Column("streams", BigInteger, nullable=False),
    time_column("updated_at"),
    Column("stored_bytes", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("project", name="pk_project_limits"),
    CheckConstraint(
        "least(calls_per_second, events_per_second, bytes_per_second, streams) >= 0",
        name="ck_project_limits_positive",
    ),
    CheckConstraint("stored_bytes >= 0", name="ck_project_limits_stored_bytes"),
)

admin_records = Table(
    "admin_records",
    metadata,
    id_column("project"),
    Column("number", BigInteger, nullable=False, autoincrement=False),
    time_column("recorded_at"),
    Column("method", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("principal", JSONB, nullable=False),
    Column("grants", JSONB, nullable=False),
    Column("is_allowed", Boolean, nullable=False),
    Column("peer", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    id_column("request_id"),
    Column("request", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("project", "number", name="pk_admin_records"),
    CheckConstraint("number >= 1", name="ck_admin_records_number"),
    Index(
        "uq_admin_records_request",
        "project",
        "request_id",
        unique=True,
        postgresql_where=text("is_allowed AND request_id <> ''"),
    ),
)
