"""Columns that several tables have."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from runstore_storage.sql.columns import USAGE


def text_column(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def id_column(name: str) -> Column[str]:
    """An identifier: compared byte by byte, whatever the database's locale."""
    return Column(name, Text(collation="C"), nullable=False)


def time_column(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def salt_column() -> Column[bytes]:
    """What hides the content that a row's hash is of; NULL where that is of version 1."""
    return Column("salt", LargeBinary)


def subjects_column() -> Column[list[str]]:
    """Whom a row is about; NULL where nobody was named."""
    return Column("subjects", ARRAY(Text))


def payload_columns(name: str) -> list[Column[object]]:
    """A payload's three columns: JSON text kept as sent, or bytes, and their media type."""
    return [
        Column(f"{name}_json", JSON),
        Column(f"{name}_binary", LargeBinary),
        Column(f"{name}_type", Text),
    ]


def usage_columns(*, nullable: bool) -> list[Column[int]]:
    default = None if nullable else "0"
    return [Column(name, BigInteger, nullable=nullable, server_default=default) for name in USAGE]
