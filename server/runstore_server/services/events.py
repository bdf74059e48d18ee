"""RPCs about events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.events import AppendResult, Event, EventStore, NewAppend
from runstore_storage.contract.heads import RunKey

from runstore_server.convert.events import (
    add_events,
    appended_message,
    filter_of,
    set_appended,
)
from runstore_server.convert.runs import guard_of, key_of, project_of
from runstore_server.edge.admission import Admission
from runstore_server.edge.errors import InvalidRequest
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.refusals import refusal
from runstore_server.edge.unread import Unread
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE
from runstore_server.streams.events import deliver
from runstore_server.streams.pipeline import Pipeline
from runstore_server.validation.requests import admit, admit_each, admit_events

APPEND_EVENT_STREAM = "/runstore.v1.RunService/AppendEventStream"


class Events:
    def __init__(
        self,
        events: EventStore,
        lifecycle: Lifecycle,
        unread: Unread,
        admission: Admission,
        *,
        default_heartbeat: float,
    ) -> None:
        self._events = events
        self._lifecycle = lifecycle
        self._unread = unread
        self._admission = admission
        self._default_heartbeat = default_heartbeat

    async def AppendEvent(
        self, request: rpc.AppendEventRequest, _context: Any
    ) -> rpc.AppendEventResponse:
        return await self._append(request, await admit_events(request, (request.event,)))

    async def AppendEvents(
        self, request: rpc.AppendEventsRequest, _context: Any
    ) -> rpc.AppendEventsResponse:
        events = await admit_events(request, request.events)
        appended = await self._events.append_events(key_of(request), events, guard_of(request))
        response = rpc.AppendEventsResponse(
            deduplicated=all(each.deduplicated for each in appended)
        )
        for each in appended:
            set_appended(response.events.add(), each)
        return response

    async def AppendMany(
        self, request: rpc.AppendManyRequest, _context: Any
    ) -> rpc.AppendManyResponse:
        admitted = await admit_each(request, request.appends)
        project = project_of(request.project)
        kept = [
            NewAppend(RunKey(project, append.run_id), events, guard_of(append))
            for append, events in zip(request.appends, admitted, strict=True)
            if not isinstance(events, InvalidRequest)
        ]
        answers = iter(await self._events.append_many(kept))
        response = rpc.AppendManyResponse()
        for each in admitted:
            refused = each if isinstance(each, InvalidRequest) else None
            _set_result(response.results.add(), refused or next(answers))
        return response

    async def AppendEventStream(
        self, requests: AsyncIterator[rpc.AppendEventStreamRequest], _context: Any
    ) -> AsyncIterator[rpc.AppendEventStreamResponse]:
        with self._admission.messages(APPEND_EVENT_STREAM) as allow:
            pipeline = Pipeline(self._append, allow, self._lifecycle)
            async with aclosing(pipeline.run(requests)) as answers:
                async for answer in answers:
                    yield answer

    async def ListEvents(
        self, request: rpc.ListEventsRequest, _context: Any
    ) -> rpc.ListEventsResponse:
        await admit(request)
        page = await self._events.read_events(
            key_of(request),
            request.from_seq,
            limit=request.page_size or DEFAULT_LONG_PAGE,
            where=filter_of(request.filter),
            read_archive=request.read_archive,
        )
        response = rpc.ListEventsResponse(
            next_from_seq=0 if page.reaches_end else page.next_from_seq, last_seq=page.last_seq
        )
        add_events(response.events, page.events)
        return response

    def StreamEvents(
        self, request: rpc.StreamEventsRequest, context: Any
    ) -> AsyncGenerator[rpc.StreamEventsResponse, None]:
        return deliver(
            self._events,
            self._lifecycle,
            request,
            default_heartbeat=self._default_heartbeat,
            room=self._unread.room(context.peer()),
        )

    async def _append(
        self, request: rpc.AppendEventRequest, events: Sequence[Event]
    ) -> rpc.AppendEventResponse:
        (appended,) = await self._events.append_events(key_of(request), events, guard_of(request))
        return appended_message(appended)


def _set_result(message: rpc.AppendResult, answer: AppendResult | Exception) -> None:
    """Fill an empty message."""
    if isinstance(answer, Exception):
        message.error.CopyFrom(refusal(answer))
    else:
        (appended,) = answer
        set_appended(message.appended, appended)
