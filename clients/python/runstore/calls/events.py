"""Calls about events."""

from __future__ import annotations

from collections.abc import Sequence

from runstore.calls.call import RUNS, Call
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.events import Appended, EventPage, FilterFields, NewEvent
from runstore.values.runs import RunRef
from runstore.wire.events import (
    appended_value,
    event_message,
    event_messages,
    filter_message,
    page_value,
)
from runstore.wire.messages import message_of


def append_request(
    run: RunRef, event: NewEvent, expected_seq: int | None
) -> rpc.AppendEventRequest:
    """The request of one append, with an event id that makes it safe to send again."""
    return message_of(
        rpc.AppendEventRequest,
        project=run.project,
        run_id=run.run_id,
        event=event_message(event, ""),
        expected_seq=expected_seq,
        writer_epoch=run.writer_epoch,
    )


def append_event(run: RunRef, event: NewEvent, expected_seq: int | None) -> Call[Appended]:
    return Call(RUNS, "AppendEvent", append_request(run, event, expected_seq), appended_value)


def append_events(
    run: RunRef, events: Sequence[NewEvent], expected_seq: int | None
) -> Call[list[Appended]]:
    request = message_of(
        rpc.AppendEventsRequest,
        project=run.project,
        run_id=run.run_id,
        events=event_messages(events),
        expected_seq=expected_seq,
        writer_epoch=run.writer_epoch,
    )
    return Call(
        RUNS,
        "AppendEvents",
        request,
        lambda response: [appended_value(each) for each in response.events],
    )


def list_events(
    run: RunRef, from_seq: int, page_size: int, read_archive: bool, where: FilterFields
) -> Call[EventPage]:
    request = message_of(
        rpc.ListEventsRequest,
        project=run.project,
        run_id=run.run_id,
        from_seq=from_seq,
        page_size=page_size,
        filter=filter_message(where),
        read_archive=read_archive,
    )
    return Call(RUNS, "ListEvents", request, page_value)
