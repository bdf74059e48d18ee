"""Archives."""

from __future__ import annotations

from runstore.v1 import admin_pb2
from runstore_storage.contract.archives import Archive

from runstore_server.convert.times import timestamp


def archive_message(archive: Archive) -> admin_pb2.Archive:
    return admin_pb2.Archive(
        run_id=archive.run_id,
        number=archive.number,
        state=admin_pb2.ArchiveState.ValueType(archive.state),
        first_seq=archive.first_seq,
        last_seq=archive.last_seq,
        record=archive.record,
        begun_at=timestamp(archive.begun_at),
        changed_at=timestamp(archive.changed_at),
        manifest_hash=archive.manifest_hash,
        size=archive.size,
        removed_events=archive.removed_events,
    )
