"""Tables of the feed: ranges to publish and published, and who works on them or reads them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from runstore_storage.sql.tables.columns import id_column, text_column, time_column
from runstore_storage.sql.tables.metadata import metadata

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", name="pk_outbox"),
    CheckConstraint("first_seq >= 1 AND first_seq <= last_seq", name="ck_outbox_range"),
)

feed = Table(
    "feed",
    metadata,
    Column("last_position", BigInteger, nullable=False, autoincrement=False),
    Column("run", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    id_column("project"),
    time_column("published_at"),
    PrimaryKeyConstraint("last_position", name="pk_feed"),
    CheckConstraint("first_seq >= 1 AND first_seq <= last_seq", name="ck_feed_range"),
    CheckConstraint("last_position > last_seq - first_seq", name="ck_feed_position"),
    Index("ix_feed_project", "project", "last_position"),
    Index("ix_feed_run", "run", "last_seq"),
)

duties = Table(
    "duties",
    metadata,
    id_column("name"),
    Column("position", BigInteger, nullable=False, server_default="0"),
    text_column("holder"),
    Column("expires_at", DateTime(timezone=True), nullable=False, server_default="-infinity"),
    PrimaryKeyConstraint("name", name="pk_duties"),
    CheckConstraint("position >= 0", name="ck_duties_position"),
)

consumers = Table(
    "consumers",
    metadata,
    id_column("project"),
    id_column("name"),
    Column("position", BigInteger, nullable=False),
    time_column("created_at"),
    time_column("committed_at"),
    PrimaryKeyConstraint("project", "name", name="pk_consumers"),
    CheckConstraint("position >= 0", name="ck_consumers_position"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    id_column("sink"),
    Column("position", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    time_column("failed_at"),
    PrimaryKeyConstraint("id", name="pk_dead_letters"),
    UniqueConstraint("sink", "position", name="uq_dead_letters_position"),
)
