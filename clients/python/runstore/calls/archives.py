"""Calls about archives."""

from __future__ import annotations

from runstore.calls.call import ADMIN, Call
from runstore.ids import new_id
from runstore.v1 import admin_service_pb2 as rpc
from runstore.values.archives import Archive
from runstore.wire.archives import archive_value
from runstore.wire.messages import message_of


def archive_run(
    project: str, run_id: str, reason: str, expected_last_seq: int | None, request_id: str
) -> Call[Archive]:
    request = message_of(
        rpc.ArchiveRunRequest,
        project=project,
        run_id=run_id,
        reason=reason,
        expected_last_seq=expected_last_seq,
        request_id=request_id or new_id(),
    )
    return Call(ADMIN, "ArchiveRun", request, lambda response: archive_value(response.archive))


def restore_run(project: str, run_id: str, reason: str, request_id: str) -> Call[Archive]:
    request = message_of(
        rpc.RestoreRunRequest,
        project=project,
        run_id=run_id,
        reason=reason,
        request_id=request_id or new_id(),
    )
    return Call(ADMIN, "RestoreRun", request, lambda response: archive_value(response.archive))
