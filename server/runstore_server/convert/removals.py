"""Removals."""

from __future__ import annotations

from runstore.v1 import admin_pb2
from runstore_storage.contract.removals import Removal

from runstore_server.convert.times import timestamp


def removal_message(removal: Removal) -> admin_pb2.Removal:
    return admin_pb2.Removal(
        removal_id=removal.removal_id,
        kind=admin_pb2.RemovalKind.ValueType(removal.kind),
        state=admin_pb2.RemovalState.ValueType(removal.state),
        birth=removal.birth,
        first_seq=removal.first_seq,
        last_seq=removal.last_seq,
        record=removal.record,
        at=timestamp(removal.begun_at),
        removed_events=removal.removed_events,
        done_at=timestamp(removal.done_at) if removal.done_at else None,
    )
