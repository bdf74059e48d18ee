"""The feed over HTTP: by page, or as a stream."""

from __future__ import annotations

from typing import Annotated, Any

from runstore_storage.contract.feed import FeedFilter, FeedStore
from starlette.responses import Response

from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.metrics import Metrics
from runstore_server.edge.unread import Unread
from runstore_server.http.models.feed import EntryList
from runstore_server.http.parameters.feed import AllowGaps, FirstPosition, Selected
from runstore_server.http.parameters.keys import Project
from runstore_server.http.parameters.queries import limit as limit_of
from runstore_server.http.parameters.streams import Accept, Heartbeat, LastEventId
from runstore_server.http.responses import JsonResponse
from runstore_server.http.routing import Api
from runstore_server.http.streams import sse
from runstore_server.http.streams.feed import FeedEncoder
from runstore_server.http.visitors import Known
from runstore_server.json.feed import entry_value
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE
from runstore_server.streams.feed import follow
from runstore_server.validation.bounds import LONG_PAGE

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}}},
}


class Feed:
    def __init__(
        self,
        api: Api,
        feed: FeedStore,
        lifecycle: Lifecycle,
        metrics: Metrics,
        unread: Unread,
        heartbeat: float,
    ) -> None:
        self._feed = feed
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._unread = unread
        self._heartbeat = heartbeat
        api.get(
            "/feed",
            self.read_feed,
            summary="Read or follow the events of all runs of the project",
            answer=EntryList,
            more=_RESPONSES,
        )

    async def read_feed(
        self,
        visitor: Known,
        project: Project,
        from_position: FirstPosition,
        where: Selected,
        limit: Annotated[
            int, limit_of(LONG_PAGE, "Pages only: the most entries to return.")
        ] = DEFAULT_LONG_PAGE,
        allow_gaps: AllowGaps = False,
        heartbeat: Heartbeat = None,
        accept: Accept = "",
        last_event_id: LastEventId = "",
    ) -> Response:
        """A page of entries in order of position. With `Accept: text/event-stream`, all entries as
        Server-Sent Events: first the past ones, then each as it is published, without an end.
        """
        if not sse.is_wanted(accept):
            return await self._page(project, from_position, where, limit, allow_gaps=allow_gaps)
        first_position = sse.first_after(last_event_id) if last_event_id else from_position
        items = follow(
            self._feed,
            self._lifecycle,
            project,
            first_position,
            where=where,
            allow_gaps=allow_gaps,
            heartbeat_seconds=heartbeat or self._heartbeat,
            room=self._unread.room(sse.STREAM_KIND),
        )
        kept = visitor.while_allowed(items)
        return await sse.event_stream(kept, FeedEncoder(first_position), self._metrics)

    async def _page(
        self, project: str, from_position: int, where: FeedFilter, limit: int, *, allow_gaps: bool
    ) -> JsonResponse:
        page = await self._feed.read_feed(
            project, from_position, limit=limit, where=where, allow_gaps=allow_gaps
        )
        return JsonResponse(
            {
                "entries": [entry_value(entry) for entry in page.entries],
                "next_position": page.next_position,
                "last_position": page.last_position,
            },
            sse.VARY,
        )
