"""The feed over HTTP: by page, or followed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Query
from runstore_storage.contract.feed import FeedEntry, FeedFilter, FeedStore
from starlette.responses import Response

from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.metrics import Metrics
from runstore_server.http.models.runs import EntryList
from runstore_server.http.parameters.runs import Entries, FirstPosition, Project
from runstore_server.http.responses import JsonResponse
from runstore_server.http.routing import Api
from runstore_server.http.streams import sse
from runstore_server.json.feed import entry_value
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE
from runstore_server.streams.feed import FeedItem, Live, Silence, follow
from runstore_server.validation.bounds import HEARTBEAT, LONG_PAGE

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}}},
}


class Feed:
    def __init__(
        self, api: Api, feed: FeedStore, lifecycle: Lifecycle, metrics: Metrics, heartbeat: float
    ) -> None:
        self._feed = feed
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._heartbeat = heartbeat
        api.get(
            "/feed",
            self.read_feed,
            summary="Read or follow the events of all runs of the project",
            answer=EntryList,
            more=_ANSWERS,
        )

    async def read_feed(
        self,
        project: Project,
        from_position: FirstPosition,
        where: Entries,
        limit: Annotated[
            int, Query(ge=1, le=LONG_PAGE.high, description="Entries on a page; not for streams.")
        ] = DEFAULT_LONG_PAGE,
        heartbeat: Annotated[
            float | None,
            Query(
                ge=HEARTBEAT.low, le=HEARTBEAT.high, description="Of a stream: longest silence, s."
            ),
        ] = None,
        accept: Annotated[
            str, Header(description="`text/event-stream` follows.", include_in_schema=False)
        ] = "",
        last_event_id: Annotated[
            str,
            Header(
                description="Of a stream: id of the last message seen; wins over from_position."
            ),
        ] = "",
    ) -> Response:
        """A page of entries in order of position; or with `Accept: text/event-stream` all of them
        as Server-Sent Events, first the past, then what is published, without an end.
        """
        if not sse.is_wanted(accept):
            return await self._page(project, from_position, where, limit)
        first_position = sse.place_after(last_event_id) if last_event_id else from_position
        items = follow(
            self._feed,
            self._lifecycle,
            project,
            first_position,
            where=where,
            heartbeat_seconds=heartbeat or self._heartbeat,
        )
        first = await anext(items)  # what refuses the stream does so before it begins
        return sse.EventStream(first, items, FeedEncoder(first_position), self._metrics)

    async def _page(
        self, project: str, from_position: int, where: FeedFilter, limit: int
    ) -> JsonResponse:
        page = await self._feed.read_feed(project, from_position, limit=limit, where=where)
        answer = JsonResponse(
            {
                "entries": [entry_value(entry) for entry in page.entries],
                "next_position": page.next_position,
                "last_position": page.last_position,
            }
        )
        answer.headers["Vary"] = "Accept"
        return answer


class FeedEncoder:
    """Items as text, and which position the client was last told as id."""

    def __init__(self, from_position: int) -> None:
        self._told = from_position - 1

    def text(self, item: FeedItem) -> str:
        if isinstance(item, Live | Silence):
            progress = f"id: {item.position}\n" if item.position != self._told else ""
            self._told = item.position
            if isinstance(item, Silence):
                return f": heartbeat {item.position}\n{progress}\n"
            return progress + sse.message("caught_up", {"position": item.position})
        self._told = item[-1].position
        return "".join(_block(entry) for entry in item)

    def draining(self) -> str:
        return sse.message("draining", {"next_position": self._told + 1})


def _block(entry: FeedEntry) -> str:
    return f"id: {entry.position}\n" + sse.data(entry_value(entry))
