"""Events as messages, and back."""

from __future__ import annotations

from collections.abc import Iterable

from runstore.arguments import instance, items, only_known
from runstore.ids import new_id
from runstore.v1 import events_pb2
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.events import Appended, Event, EventPage, FilterFields, NewEvent, Usage
from runstore.wire.messages import message_at, message_of
from runstore.wire.payloads import optional_payload, payload_message
from runstore.wire.times import optional_time, span_message, span_value, time_message, time_value


def event_messages(events: Iterable[NewEvent]) -> list[events_pb2.Event]:
    """The messages of the argument `events`."""
    given = items(events, NewEvent, "events")
    return [event_message(event, f"events[{n}].") for n, event in enumerate(given)]


def event_message(event: NewEvent, at: str) -> events_pb2.Event:
    """The message of the event at this path; an event without an id is given one."""
    return message_at(
        at,
        events_pb2.Event,
        event_id=event.event_id or new_id(),
        type=event.type,
        payload=payload_message(event.payload, f"{at}payload"),
        node_id=event.node_id,
        actor=event.actor,
        model=event.model,
        tool=event.tool,
        tags=event.tags,
        usage=usage_message(event.usage, f"{at}usage"),
        trace_parent=event.trace_parent,
        occurred_at=time_message(event.occurred_at, f"{at}occurred_at"),
        subjects=event.subjects,
    )


def event_value(message: events_pb2.Event) -> Event:
    return Event(
        seq=message.seq,
        type=message.type,
        payload=optional_payload(message, "payload"),
        event_id=message.event_id,
        node_id=message.node_id,
        actor=message.actor,
        model=message.model,
        tool=message.tool,
        tags=tuple(message.tags),
        usage=usage_value(message.usage) if message.HasField("usage") else None,
        trace_parent=message.trace_parent,
        occurred_at=optional_time(message, "occurred_at"),
        recorded_at=time_value(message.recorded_at),
        hash=message.hash,
        subjects=tuple(message.subjects),
        salt=message.salt,
        sealed=message.sealed,
        erased_at=optional_time(message, "erased_at"),
    )


def usage_message(usage: Usage | None, name: str) -> events_pb2.Usage | None:
    if usage is None:
        return None
    instance(usage, Usage, name)
    return message_at(
        f"{name}.",
        events_pb2.Usage,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cost_micros=usage.cost_micros,
        duration=span_message(usage.duration, f"{name}.duration"),
    )


def usage_value(message: events_pb2.Usage) -> Usage:
    return Usage(
        input_tokens=message.input_tokens,
        output_tokens=message.output_tokens,
        cached_input_tokens=message.cached_input_tokens,
        cost_micros=message.cost_micros,
        duration=span_value(message.duration),
    )


def filter_message(fields: FilterFields) -> events_pb2.EventFilter:
    only_known(fields, FilterFields)
    return message_of(events_pb2.EventFilter, **fields)


def appended_value(message: rpc.AppendEventResponse) -> Appended:
    return Appended(
        seq=message.seq,
        recorded_at=time_value(message.recorded_at),
        hash=message.hash,
        deduplicated=message.deduplicated,
        event_id=message.event_id,
    )


def page_value(message: rpc.ListEventsResponse) -> EventPage:
    return EventPage(
        tuple(map(event_value, message.events)), message.next_from_seq, message.last_seq
    )
