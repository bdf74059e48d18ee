"""StreamEvents: from the past into the present of one run.

The loop holds one page and awaits each send, so a slow client slows itself and nobody else.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from runstore.v1 import outputs_pb2
from runstore.v1 import run_service_pb2 as rpc
from runstore_storage.records import EventPage
from runstore_storage.store import Store

from runstore_server.convert.events import event_message, filter_of
from runstore_server.convert.runs import key_of
from runstore_server.convert.times import heartbeat_seconds
from runstore_server.lifecycle import Lifecycle
from runstore_server.rules import MAX_INT64

BATCH_EVENTS = 256


async def deliver(
    store: Store,
    lifecycle: Lifecycle,
    request: rpc.StreamEventsRequest,
    *,
    default_heartbeat: float,
) -> AsyncIterator[rpc.StreamEventsResponse]:
    """Yield the messages of the stream; return where it ends with OK."""
    key, where = key_of(request), filter_of(request.filter)
    heartbeat = heartbeat_seconds(request, default_heartbeat)
    if not request.wait_for_run:
        await store.read_events(key, MAX_INT64, limit=1)  # refuses an unknown run, reads no event
    from_seq, is_live, sent_at = max(request.from_seq, 1), False, time.monotonic()
    async with store.open_tail(key) as tail:
        while True:
            mark = tail.mark  # before reading: what commits after it ends the wait below
            page = await tail.read(from_seq, limit=BATCH_EVENTS, where=where)
            from_seq = page.next_from_seq
            if page.events:
                yield _batch(page)
                sent_at = time.monotonic()
            lifecycle.check()
            if not page.reaches_end:
                is_live = False
                continue
            if page.is_completed:
                yield _end_of_run(page)
                return
            if not is_live:
                yield rpc.StreamEventsResponse(caught_up=rpc.CaughtUp(last_seq=page.last_seq))
                is_live, sent_at = True, time.monotonic()
            if not request.follow:
                return
            while not await tail.wait(mark, sent_at + heartbeat - time.monotonic()):
                yield rpc.StreamEventsResponse(heartbeat=rpc.Heartbeat(last_seq=page.last_seq))
                sent_at = time.monotonic()


def _batch(page: EventPage) -> rpc.StreamEventsResponse:
    events = [event_message(event) for event in page.events]
    return rpc.StreamEventsResponse(events=rpc.EventBatch(events=events))


def _end_of_run(page: EventPage) -> rpc.StreamEventsResponse:
    return rpc.StreamEventsResponse(
        end_of_run=rpc.EndOfRun(
            last_seq=page.last_seq, outcome=outputs_pb2.Outcome.ValueType(page.outcome)
        )
    )
