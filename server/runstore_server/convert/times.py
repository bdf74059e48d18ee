"""Times and durations, exact to the microsecond."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, Protocol

from google.protobuf import duration_pb2, timestamp_pb2
from runstore_storage.contract.times import EPOCH

_MICROS = 1_000_000
_DAY_SECONDS = 86_400


def timestamp(at: datetime) -> timestamp_pb2.Timestamp:
    message = timestamp_pb2.Timestamp()
    set_time(message, at)
    return message


def set_time(message: timestamp_pb2.Timestamp, at: datetime) -> None:
    since = at - EPOCH
    message.seconds = since.days * _DAY_SECONDS + since.seconds
    message.nanos = since.microseconds * 1000


def time_of(message: timestamp_pb2.Timestamp) -> datetime:
    """The time, truncated to the microsecond."""
    return EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)


def duration(micros: int) -> duration_pb2.Duration:
    seconds, rest = divmod(micros, _MICROS)
    return duration_pb2.Duration(seconds=seconds, nanos=rest * 1000)


def micros_of(message: duration_pb2.Duration) -> int:
    return message.seconds * _MICROS + message.nanos // 1000


class WithHeartbeat(Protocol):
    """A request that may set how long its stream may be silent."""

    @property
    def heartbeat_interval(self) -> duration_pb2.Duration: ...

    def HasField(self, field_name: Literal["heartbeat_interval"], /) -> bool: ...  # noqa: N802 - protobuf's name


def heartbeat_seconds(request: WithHeartbeat, default: float) -> float:
    """The longest silence that the request allows, or the default."""
    if not request.HasField("heartbeat_interval"):
        return default
    return micros_of(request.heartbeat_interval) / 1e6
