"""Removals: deleting runs for good, and what was removed."""

from __future__ import annotations

from typing import Any

from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.removals import RemovalStore

from runstore_server.convert.removals import removal_message
from runstore_server.convert.runs import key_of, project_of
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_PAGE
from runstore_server.services.acts import Acts
from runstore_server.validation.requests import admit


class Removals:
    def __init__(self, removals: RemovalStore, acts: Acts) -> None:
        self._removals = removals
        self._acts = acts

    async def DeleteRun(self, request: rpc.DeleteRunRequest, context: Any) -> rpc.DeleteRunResponse:
        await admit(request)
        is_expected = request.HasField("expected_last_seq")
        async with self._acts.recorded(request, f"runs/{request.run_id}", context) as act:
            removal, is_repeat = await self._removals.delete_run(
                key_of(request),
                expected_last_seq=request.expected_last_seq if is_expected else None,
                act=act,
            )
        return rpc.DeleteRunResponse(removal=removal_message(removal), deduplicated=is_repeat)

    async def ListRemovals(
        self, request: rpc.ListRemovalsRequest, _context: Any
    ) -> rpc.ListRemovalsResponse:
        await admit(request)
        page = await self._removals.list_removals(
            project_of(request.project),
            run_id=request.run_id,
            limit=request.page_size or DEFAULT_PAGE,
            after=page_tokens.number(request, request.page_token),
        )
        return rpc.ListRemovalsResponse(
            removals=[removal_message(each) for each in page.items],
            next_page_token=page_tokens.following(request, page.next_after),
        )
