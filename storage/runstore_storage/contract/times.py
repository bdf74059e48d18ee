"""Times: kept to the microsecond, as microseconds since 1970 UTC where they are numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 UTC, exactly."""
    return (at - EPOCH) // MICROSECOND


def time_at(micros: int) -> datetime:
    """The time so many microseconds after 1970 UTC."""
    return EPOCH + timedelta(microseconds=micros)
