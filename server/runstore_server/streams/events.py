"""StreamEvents: a followed run as messages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from runstore.v1 import outputs_pb2
from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.contract.events import EventPage, EventStore

from runstore_server.convert.events import add_events, filter_of
from runstore_server.convert.runs import key_of
from runstore_server.convert.times import heartbeat_seconds
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.unread import Room
from runstore_server.streams.following import Following, Progress, follow
from runstore_server.validation.requests import admit


async def deliver(
    store: EventStore,
    lifecycle: Lifecycle,
    request: rpc.StreamEventsRequest,
    *,
    default_heartbeat: float,
    room: Room,
) -> AsyncGenerator[rpc.StreamEventsResponse, None]:
    """Yield the messages of the stream; return when it ends with OK."""
    await admit(request)
    wanted = Following(
        key=key_of(request),
        heartbeat_seconds=heartbeat_seconds(request, default_heartbeat),
        from_seq=request.from_seq,
        where=filter_of(request.filter),
        follow=request.follow,
        wait_for_run=request.wait_for_run,
        read_archive=request.read_archive,
    )
    async with aclosing(follow(store, lifecycle, wanted, room)) as items:
        async for item in items:
            made = [_MESSAGES[item.progress](item.page)]
            del item  # neither is held while the client reads
            yield made.pop()


def _batch(page: EventPage) -> rpc.StreamEventsResponse:
    message = rpc.StreamEventsResponse()
    add_events(message.events.events, page.events)
    return message


def _caught_up(page: EventPage) -> rpc.StreamEventsResponse:
    return rpc.StreamEventsResponse(caught_up=rpc.CaughtUp(last_seq=page.last_seq))


def _heartbeat(page: EventPage) -> rpc.StreamEventsResponse:
    return rpc.StreamEventsResponse(heartbeat=rpc.Heartbeat(last_seq=page.last_seq))


def _end_of_run(page: EventPage) -> rpc.StreamEventsResponse:
    return rpc.StreamEventsResponse(
        end_of_run=rpc.EndOfRun(
            last_seq=page.last_seq, outcome=outputs_pb2.Outcome.ValueType(page.outcome)
        )
    )


_MESSAGES: dict[Progress, Callable[[EventPage], rpc.StreamEventsResponse]] = {
    Progress.EVENTS: _batch,
    Progress.CAUGHT_UP: _caught_up,
    Progress.HEARTBEAT: _heartbeat,
    Progress.END_OF_RUN: _end_of_run,
}
