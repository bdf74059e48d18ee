"""Holds: what may not be removed."""

from __future__ import annotations

from typing import Any

from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.holds import HoldCursor, HoldStore

from runstore_server.convert.holds import hold_message, new_hold_of
from runstore_server.convert.runs import project_of
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_PAGE
from runstore_server.services.acts import Acts
from runstore_server.validation.requests import admit


class Holds:
    def __init__(self, holds: HoldStore, acts: Acts) -> None:
        self._holds = holds
        self._acts = acts

    async def PlaceHold(self, request: rpc.PlaceHoldRequest, context: Any) -> rpc.PlaceHoldResponse:
        await admit(request)
        async with self._acts.recorded(request, "holds", context) as act:
            hold, is_repeat = await self._holds.place_hold(new_hold_of(request), act)
        return rpc.PlaceHoldResponse(hold=hold_message(hold), deduplicated=is_repeat)

    async def ReleaseHold(
        self, request: rpc.ReleaseHoldRequest, context: Any
    ) -> rpc.ReleaseHoldResponse:
        await admit(request)
        resource = f"holds/{request.hold_id}"
        async with self._acts.recorded(request, resource, context) as act:
            hold, is_repeat = await self._holds.release_hold(request.hold_id, act)
        return rpc.ReleaseHoldResponse(hold=hold_message(hold), deduplicated=is_repeat)

    async def ListHolds(
        self, request: rpc.ListHoldsRequest, _context: Any
    ) -> rpc.ListHoldsResponse:
        await admit(request)
        page = await self._holds.list_holds(
            project_of(request.project),
            run_id=request.run_id,
            released=request.include_released,
            limit=request.page_size or DEFAULT_PAGE,
            after=page_tokens.moment(request, request.page_token, HoldCursor),
        )
        after = page.next_after
        return rpc.ListHoldsResponse(
            holds=[hold_message(each) for each in page.items],
            next_page_token=page_tokens.at_moment(request, after.placed_at, after.hold_id)
            if after
            else "",
        )
