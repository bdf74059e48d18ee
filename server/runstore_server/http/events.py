"""Events over HTTP: by page, or as a stream."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from runstore_storage.contract.events import EventFilter
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.store import Store
from starlette.responses import Response

from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.metrics import Metrics
from runstore_server.edge.unread import Unread
from runstore_server.http.models.events import EventList
from runstore_server.http.parameters.events import FirstSeq, ReadArchive, Selected
from runstore_server.http.parameters.keys import Key
from runstore_server.http.parameters.queries import limit as limit_of
from runstore_server.http.parameters.streams import (
    LAST_EVENT_ID,
    Accept,
    Heartbeat,
    LastEventId,
)
from runstore_server.http.responses import JsonResponse
from runstore_server.http.routing import RUN, Api
from runstore_server.http.streams import sse
from runstore_server.http.streams.events import EventEncoder
from runstore_server.http.visitors import Known, Visitor
from runstore_server.json.events import event_value
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE
from runstore_server.streams.following import Following, follow
from runstore_server.validation.bounds import LONG_PAGE, MAX_INT64
from runstore_server.validation.requests import refuse

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}}},
    204: {"description": f"{LAST_EVENT_ID} shows that the client has read the stream to its end."},
}


class Events:
    def __init__(
        self,
        api: Api,
        store: Store,
        lifecycle: Lifecycle,
        metrics: Metrics,
        unread: Unread,
        heartbeat: float,
    ) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._unread = unread
        self._heartbeat = heartbeat
        api.get(
            f"{RUN}/events",
            self.list_events,
            summary="Read or follow a run's events",
            answer=EventList,
            more=_RESPONSES,
        )

    async def list_events(
        self,
        visitor: Known,
        key: Key,
        from_seq: FirstSeq,
        where: Selected,
        limit: Annotated[
            int, limit_of(LONG_PAGE, "Pages only: the most events to return.")
        ] = DEFAULT_LONG_PAGE,
        follow: Annotated[
            bool, Query(description="Streams only: false ends the stream where it is caught up.")
        ] = True,
        read_archive: ReadArchive = False,
        heartbeat: Heartbeat = None,
        accept: Accept = "",
        last_event_id: LastEventId = "",
    ) -> Response:
        """A page of events in order of seq. With `Accept: text/event-stream`, all events as
        Server-Sent Events: first the past ones, then each as it is committed, until the run is
        complete.
        """
        if not sse.is_wanted(accept):
            return await self._page(key, from_seq, where, limit, read_archive=read_archive)
        if last_event_id == sse.END_ID:
            return await self._after_the_end(key)
        wanted = Following(
            key=key,
            heartbeat_seconds=heartbeat or self._heartbeat,
            from_seq=sse.first_after(last_event_id) if last_event_id else from_seq,
            where=where,
            follow=follow,
            read_archive=read_archive,
        )
        return await self._stream(wanted, visitor)

    async def _page(
        self, key: RunKey, from_seq: int, where: EventFilter, limit: int, *, read_archive: bool
    ) -> JsonResponse:
        page = await self._store.read_events(
            key, from_seq, limit=limit, where=where, read_archive=read_archive
        )
        return JsonResponse(
            {
                "events": [event_value(event) for event in page.events],
                "next_from_seq": None if page.reaches_end else page.next_from_seq,
                "last_seq": page.last_seq,
            },
            sse.VARY,
        )

    async def _stream(self, wanted: Following, visitor: Visitor) -> Response:
        items = follow(self._store, self._lifecycle, wanted, self._unread.room(sse.STREAM_KIND))
        kept = visitor.while_allowed(items)
        return await sse.event_stream(kept, EventEncoder(wanted.from_seq), self._metrics)

    async def _after_the_end(self, key: RunKey) -> Response:
        page = await self._store.read_events(key, MAX_INT64, limit=1)
        if not page.is_completed:
            refuse(LAST_EVENT_ID, "is the id of an end, and the run has not ended")
        return sse.no_more()
