"""Between Python's times and protobuf's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf import duration_pb2, timestamp_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def timestamp(at: datetime | None) -> timestamp_pb2.Timestamp | None:
    """The time to the microsecond; a naive datetime is refused."""
    if at is None:
        return None
    if at.tzinfo is None:
        raise ValueError("times must be timezone-aware")
    seconds, micros = divmod((at - _EPOCH) // _MICROSECOND, 1_000_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=micros * 1000)


def time_of(message: timestamp_pb2.Timestamp) -> datetime:
    """The UTC time to the microsecond."""
    return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)


def duration(span: timedelta) -> duration_pb2.Duration:
    """The message of a time span."""
    message = duration_pb2.Duration()
    message.FromTimedelta(span)
    return message


def span_of(message: duration_pb2.Duration) -> timedelta:
    """The duration to the microsecond."""
    return timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
