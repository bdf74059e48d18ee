"""Removals as values."""

from __future__ import annotations

from runstore.v1 import admin_pb2
from runstore.values.removals import Removal, RemovalKind, RemovalState
from runstore.wire.times import optional_time, time_value


def removal_value(message: admin_pb2.Removal) -> Removal:
    return Removal(
        removal_id=message.removal_id,
        kind=RemovalKind(message.kind),
        state=RemovalState(message.state),
        birth=message.birth,
        first_seq=message.first_seq,
        last_seq=message.last_seq,
        record=message.record,
        at=time_value(message.at),
        removed_events=message.removed_events,
        done_at=optional_time(message, "done_at"),
    )
