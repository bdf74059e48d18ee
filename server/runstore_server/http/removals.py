"""Removals over HTTP."""

from __future__ import annotations

from typing import Annotated

from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.removals import RemovalStore

from runstore_server.http.models.removals import RemovalList
from runstore_server.http.parameters.checks import checked
from runstore_server.http.parameters.keys import Project
from runstore_server.http.parameters.pages import PageToken
from runstore_server.http.parameters.queries import limit as limit_of
from runstore_server.http.parameters.queries import text
from runstore_server.http.responses import JsonResponse
from runstore_server.http.routing import Api
from runstore_server.json.removals import removal_value
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_PAGE
from runstore_server.validation.bounds import ID, PAGE


class Removals:
    def __init__(self, api: Api, removals: RemovalStore) -> None:
        self._removals = removals
        api.get(
            "/removals",
            self.list_removals,
            summary="List what was removed for good",
            answer=RemovalList,
        )

    async def list_removals(
        self,
        project: Project,
        run_id: Annotated[str, text(ID, "Only removals of this run.")] = "",
        limit: Annotated[int, limit_of(PAGE, "The most removals to return.")] = DEFAULT_PAGE,
        page_token: PageToken = "",
    ) -> JsonResponse:
        """A page of removals of the project, or of one run, newest first. It names no run."""
        request = rpc.ListRemovalsRequest(project=project, run_id=run_id, page_token=page_token)
        checked(request, {})
        page = await self._removals.list_removals(
            project,
            run_id=run_id,
            limit=limit,
            after=page_tokens.number(request, page_token),
        )
        return JsonResponse(
            {
                "removals": [removal_value(each) for each in page.items],
                "limit": limit,
                "next_page_token": page_tokens.following(request, page.next_after) or None,
            }
        )
