"""The RPC that finds events by the words in them."""

from __future__ import annotations

from typing import Any

from runstore.v1 import search_pb2 as rpc
from runstore_storage.contract.search import SearchCursor, SearchStore

from runstore_server.convert.runs import project_of
from runstore_server.convert.search import awaited_of, hit_message, query_of, wait_seconds
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_PAGE
from runstore_server.validation.requests import admit


class Search:
    def __init__(self, search: SearchStore) -> None:
        self._search = search

    async def SearchEvents(
        self, request: rpc.SearchEventsRequest, context: Any
    ) -> rpc.SearchEventsResponse:
        await admit(request)
        after = _after(request)
        if awaited := awaited_of(request):
            seconds = wait_seconds(request, context.time_remaining())
            await self._search.wait_indexed(awaited, seconds)
        page = await self._search.search_events(
            project_of(request.project),
            query_of(request),
            limit=request.page_size or DEFAULT_PAGE,
            after=after,
        )
        return rpc.SearchEventsResponse(
            hits=[hit_message(hit) for hit in page.hits],
            next_page_token=_token(request, page.next_after) if page.next_after else "",
            indexed_position=page.indexed_position,
        )


def _token(request: rpc.SearchEventsRequest, cursor: SearchCursor) -> str:
    return page_tokens.issue(request, [cursor.as_of, repr(cursor.rank), cursor.position])


def _after(request: rpc.SearchEventsRequest) -> SearchCursor | None:
    if not request.page_token:
        return None
    as_of, rank, position = page_tokens.read(request, request.page_token)
    return SearchCursor(int(as_of), float(rank), int(position))
