"""Converts between Python's times and protobuf's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.message import Message

from runstore.arguments import InvalidArgument, instance, seconds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def time_message(at: datetime | None, name: str) -> timestamp_pb2.Timestamp | None:
    """The time to the microsecond; raise `InvalidArgument` unless it is an aware datetime."""
    if at is None:
        return None
    if instance(at, datetime, name).tzinfo is None:
        raise InvalidArgument(name, "must have a time zone")
    seconds, micros = divmod((at - _EPOCH) // _MICROSECOND, 1_000_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=micros * 1000)


def time_value(message: timestamp_pb2.Timestamp) -> datetime:
    """The UTC time to the microsecond."""
    return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)


def optional_time(message: Message, field: str) -> datetime | None:
    """The UTC time in a field of the message; None if the field is not set."""
    return time_value(getattr(message, field)) if message.HasField(field) else None


def span_message(span: timedelta, name: str) -> duration_pb2.Duration:
    message = duration_pb2.Duration()
    message.FromTimedelta(instance(span, timedelta, name))
    return message


def seconds_message(given: float | None, name: str) -> duration_pb2.Duration | None:
    """The message of a number of seconds; None for None."""
    if given is None:
        return None
    try:
        return span_message(timedelta(seconds=seconds(given, name)), name)
    except OverflowError:
        raise InvalidArgument(name, f"is too long: {given}") from None


def span_value(message: duration_pb2.Duration) -> timedelta:
    """The duration to the microsecond."""
    return timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
