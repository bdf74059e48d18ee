"""Events over HTTP: by page, or followed."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Query
from runstore_storage.contract.events import EventFilter
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.store import Store
from starlette.responses import Response

from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.metrics import Metrics
from runstore_server.http.models.runs import EventList
from runstore_server.http.parameters.runs import Events as Selected
from runstore_server.http.parameters.runs import FirstSeq, Key
from runstore_server.http.responses import JsonResponse
from runstore_server.http.routing import RUN, Api
from runstore_server.http.streams import sse
from runstore_server.http.streams.events import RunEncoder
from runstore_server.json.events import event_value
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE
from runstore_server.streams.following import Following, follow
from runstore_server.validation.bounds import HEARTBEAT, LONG_PAGE, MAX_INT64
from runstore_server.validation.requests import refuse

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}}},
    204: {"description": f"The stream was read to its end: {sse.LAST_EVENT_ID} says so."},
}


class Events:
    def __init__(
        self, api: Api, store: Store, lifecycle: Lifecycle, metrics: Metrics, heartbeat: float
    ) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._heartbeat = heartbeat
        api.get(
            f"{RUN}/events",
            self.list_events,
            summary="Read or follow a run's events",
            answer=EventList,
            more=_ANSWERS,
        )

    async def list_events(
        self,
        key: Key,
        from_seq: FirstSeq,
        where: Selected,
        limit: Annotated[
            int, Query(ge=1, le=LONG_PAGE.high, description="Events on a page; not for streams.")
        ] = DEFAULT_LONG_PAGE,
        follow: Annotated[
            bool, Query(description="Of a stream: false ends it where it would become live.")
        ] = True,
        heartbeat: Annotated[
            float | None,
            Query(
                ge=HEARTBEAT.low, le=HEARTBEAT.high, description="Of a stream: longest silence, s."
            ),
        ] = None,
        accept: Annotated[
            str, Header(description="`text/event-stream` follows the run.", include_in_schema=False)
        ] = "",
        last_event_id: Annotated[
            str, Header(description="Of a stream: id of the last message seen; wins over from_seq.")
        ] = "",
    ) -> Response:
        """A page of events in order of seq; or with `Accept: text/event-stream` all of them as
        Server-Sent Events, first the past, then what comes, until the run is complete.
        """
        if not sse.is_wanted(accept):
            return await self._page(key, from_seq, where, limit)
        if last_event_id == sse.END_ID:
            return await self._after_the_end(key)
        wanted = Following(
            key=key,
            heartbeat_seconds=heartbeat or self._heartbeat,
            from_seq=sse.place_after(last_event_id) if last_event_id else from_seq,
            where=where,
            follow=follow,
        )
        return await self._stream(wanted)

    async def _page(
        self, key: RunKey, from_seq: int, where: EventFilter, limit: int
    ) -> JsonResponse:
        page = await self._store.read_events(key, from_seq, limit=limit, where=where)
        answer = JsonResponse(
            {
                "events": [event_value(event) for event in page.events],
                "next_from_seq": None if page.reaches_end else page.next_from_seq,
                "last_seq": page.last_seq,
            }
        )
        answer.headers["Vary"] = "Accept"
        return answer

    async def _stream(self, wanted: Following) -> Response:
        items = follow(self._store, self._lifecycle, wanted)
        first = await anext(items)  # what refuses the stream does so before it begins
        return sse.EventStream(first, items, RunEncoder(wanted.from_seq), self._metrics)

    async def _after_the_end(self, key: RunKey) -> Response:
        page = await self._store.read_events(key, MAX_INT64, limit=1)
        if not page.is_completed:
            refuse(sse.LAST_EVENT_ID, "is the id of an end, which the run has not come to")
        return sse.no_more()
