"""Times and durations."""

from __future__ import annotations

from datetime import UTC, datetime


def time_text(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, always with six digits of the second."""
    if at is None:
        return None
    plain = at.astimezone(UTC).replace(tzinfo=None)
    return plain.isoformat(timespec="microseconds") + "Z"
