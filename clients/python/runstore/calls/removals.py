"""Calls about what is removed for good."""

from __future__ import annotations

from runstore.calls.call import ADMIN, PAGE_SIZE, Call, Page, page_of
from runstore.ids import new_id
from runstore.v1 import admin_service_pb2 as rpc
from runstore.values.removals import Removal
from runstore.wire.messages import message_of
from runstore.wire.removals import removal_value


def delete_run(
    project: str, run_id: str, reason: str, expected_last_seq: int | None, request_id: str
) -> Call[Removal]:
    request = message_of(
        rpc.DeleteRunRequest,
        project=project,
        run_id=run_id,
        reason=reason,
        expected_last_seq=expected_last_seq,
        request_id=request_id or new_id(),
    )
    return Call(ADMIN, "DeleteRun", request, lambda response: removal_value(response.removal))


def list_removals(project: str, run_id: str, page_token: str) -> Call[Page[Removal]]:
    request = message_of(
        rpc.ListRemovalsRequest,
        project=project,
        run_id=run_id,
        page_size=PAGE_SIZE,
        page_token=page_token,
    )
    return Call(ADMIN, "ListRemovals", request, page_of("removals", removal_value))
