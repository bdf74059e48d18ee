"""How times, hashes and enums are spelled."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum


def time_text(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, always with six digits of the second."""
    if at is None:
        return None
    plain = at.astimezone(UTC).replace(tzinfo=None)
    return plain.isoformat(timespec="microseconds") + "Z"


def hash_text(digest: bytes) -> str | None:
    """Lower-case hexadecimal digits; None for a hash that is not known."""
    return digest.hex() or None


def salt_text(salt: bytes | None) -> str | None:
    """As a hash; None where nothing was salted."""
    return salt.hex() if salt else None


def enum_text(value: IntEnum) -> str | None:
    """The name in lower case; None for an unspecified value."""
    return value.name.lower() if value else None
