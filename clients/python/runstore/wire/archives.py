"""Archives as values."""

from __future__ import annotations

from runstore.v1 import admin_pb2
from runstore.values.archives import Archive, ArchiveState
from runstore.wire.times import time_value


def archive_value(message: admin_pb2.Archive) -> Archive:
    return Archive(
        run_id=message.run_id,
        number=message.number,
        state=ArchiveState(message.state),
        first_seq=message.first_seq,
        last_seq=message.last_seq,
        record=message.record,
        begun_at=time_value(message.begun_at),
        changed_at=time_value(message.changed_at),
        manifest_hash=message.manifest_hash,
        size=message.size,
        removed_events=message.removed_events,
    )
