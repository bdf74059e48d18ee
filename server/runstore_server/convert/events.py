"""Events and usage."""

from __future__ import annotations

from collections.abc import Iterable

from runstore.v1 import events_pb2, run_service_pb2
from runstore_storage.records import Appended, Event, EventFilter, RecordedEvent, Usage

from runstore_server.convert.payloads import payload_message, payload_of
from runstore_server.convert.times import duration, micros_of, time_of, timestamp


def event_of(message: events_pb2.Event) -> Event:
    return Event(
        type=message.type,
        event_id=message.event_id,
        payload=payload_of(message.payload) if message.HasField("payload") else None,
        node_id=message.node_id,
        actor=message.actor,
        model=message.model,
        tool=message.tool,
        tags=tuple(message.tags),
        usage=usage_of(message.usage) if message.HasField("usage") else None,
        trace_parent=message.trace_parent,
        occurred_at=time_of(message.occurred_at) if message.HasField("occurred_at") else None,
    )


def events_of(messages: Iterable[events_pb2.Event]) -> tuple[Event, ...]:
    return tuple(event_of(message) for message in messages)


def event_message(recorded: RecordedEvent) -> events_pb2.Event:
    event = recorded.event
    return events_pb2.Event(
        event_id=event.event_id,
        type=event.type,
        payload=payload_message(event.payload) if event.payload else None,
        node_id=event.node_id,
        actor=event.actor,
        model=event.model,
        tool=event.tool,
        tags=event.tags,
        usage=usage_message(event.usage) if event.usage else None,
        trace_parent=event.trace_parent,
        occurred_at=timestamp(event.occurred_at) if event.occurred_at else None,
        seq=recorded.seq,
        recorded_at=timestamp(recorded.recorded_at),
        hash=recorded.hash,
    )


def usage_of(message: events_pb2.Usage) -> Usage:
    return Usage(
        input_tokens=message.input_tokens,
        output_tokens=message.output_tokens,
        cached_input_tokens=message.cached_input_tokens,
        cost_micros=message.cost_micros,
        duration_us=micros_of(message.duration),
    )


def usage_message(usage: Usage) -> events_pb2.Usage:
    return events_pb2.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cost_micros=usage.cost_micros,
        duration=duration(usage.duration_us),
    )


def filter_of(message: events_pb2.EventFilter) -> EventFilter:
    return EventFilter(tuple(message.types), tuple(message.node_ids), tuple(message.tags))


def appended_message(appended: Appended) -> run_service_pb2.AppendEventResponse:
    return run_service_pb2.AppendEventResponse(
        seq=appended.seq,
        recorded_at=timestamp(appended.recorded_at),
        hash=appended.hash,
        deduplicated=appended.deduplicated,
        event_id=appended.event_id,
    )
