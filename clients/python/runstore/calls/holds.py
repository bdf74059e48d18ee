"""Calls about what may not be removed."""

from __future__ import annotations

from runstore.arguments import InvalidArgument
from runstore.calls.call import ADMIN, PAGE_SIZE, Call, Page, page_of
from runstore.ids import new_id
from runstore.v1 import admin_service_pb2 as rpc
from runstore.values.holds import Hold, RunSelection
from runstore.wire.holds import hold_value, selection_message
from runstore.wire.messages import message_of


def place_hold(
    project: str,
    reason: str,
    run_id: str | None,
    filter: RunSelection | None,  # noqa: A002 - the contract's name
) -> Call[Hold]:
    if (run_id is None) is (filter is None):
        raise InvalidArgument("run_id", "must be given, or a filter, and not both")
    request = message_of(
        rpc.PlaceHoldRequest,
        project=project,
        filter=selection_message(filter),
        reason=reason,
        request_id=new_id(),
        **({} if run_id is None else {"run_id": run_id}),
    )
    return Call(ADMIN, "PlaceHold", request, lambda response: hold_value(response.hold))


def release_hold(project: str, hold_id: str) -> Call[Hold]:
    request = message_of(
        rpc.ReleaseHoldRequest, project=project, hold_id=hold_id, request_id=new_id()
    )
    return Call(ADMIN, "ReleaseHold", request, lambda response: hold_value(response.hold))


def list_holds(
    project: str, run_id: str, include_released: bool, page_token: str
) -> Call[Page[Hold]]:
    request = message_of(
        rpc.ListHoldsRequest,
        project=project,
        run_id=run_id,
        include_released=include_released,
        page_size=PAGE_SIZE,
        page_token=page_token,
    )
    return Call(ADMIN, "ListHolds", request, page_of("holds", hold_value))
