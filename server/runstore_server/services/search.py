"""The RPC that finds events by their words."""

from __future__ import annotations

from typing import Any

from runstore.v1 import search_pb2 as rpc
from runstore_storage.search_records import SearchPlace
from runstore_storage.store import Store

from runstore_server import page_tokens
from runstore_server.convert.runs import project_of
from runstore_server.convert.search import awaited_of, hit_message, query_of
from runstore_server.convert.times import micros_of
from runstore_server.validation import validate

DEFAULT_HITS = 20
DEFAULT_WAIT_SECONDS = 10.0
# Left of the call's deadline when a wait ends, so that its answer arrives.
ANSWER_SECONDS = 0.25


class Search:
    _store: Store

    async def SearchEvents(
        self, request: rpc.SearchEventsRequest, context: Any
    ) -> rpc.SearchEventsResponse:
        validate(request)
        after = _after(request)
        if awaited := awaited_of(request):
            await self._store.search.wait_indexed(awaited, _wait_seconds(request, context))
        page = await self._store.search.search_events(
            project_of(request.project),
            query_of(request),
            limit=request.page_size or DEFAULT_HITS,
            after=after,
        )
        return rpc.SearchEventsResponse(
            hits=[hit_message(hit) for hit in page.hits],
            next_page_token=_token(request, page.next_after) if page.next_after else "",
            indexed_position=page.indexed_position,
        )


def _wait_seconds(request: rpc.SearchEventsRequest, context: Any) -> float:
    """How long the request may wait: as it says, and not beyond its call's deadline."""
    asked = micros_of(request.wait) / 1e6 if request.HasField("wait") else DEFAULT_WAIT_SECONDS
    left = context.time_remaining()
    return asked if left is None else max(min(asked, left - ANSWER_SECONDS), 0.0)


def _token(request: rpc.SearchEventsRequest, place: SearchPlace) -> str:
    return page_tokens.issue(request, [place.as_of, repr(place.rank), place.position])


def _after(request: rpc.SearchEventsRequest) -> SearchPlace | None:
    if not request.page_token:
        return None
    as_of, rank, position = page_tokens.read(request, request.page_token)
    return SearchPlace(int(as_of), float(rank), int(position))
