"""Tables of what projects store: the sums, what has yet to be added, and what was there before."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    text,
)

from runstore_storage.sql.tables.columns import id_column
from runstore_storage.sql.tables.metadata import metadata

stored_bytes = Table(
    "stored_bytes",
    metadata,
    id_column("project"),
    Column("bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("project", name="pk_stored_bytes"),
)

stored_changes = Table(
    "stored_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("key", BigInteger, nullable=False),
    id_column("project"),
    Column("bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="pk_stored_changes"),
    CheckConstraint("kind BETWEEN 0 AND 3", name="ck_stored_changes_kind"),
)

stored_scan = Table(
    "stored_scan",
    metadata,
    Column("is_only", Boolean, nullable=False, server_default=text("true")),
    Column("kind", SmallInteger, nullable=False, server_default="1"),
    Column("key", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("is_only", name="pk_stored_scan"),
    CheckConstraint("is_only", name="ck_stored_scan_is_only"),
)
