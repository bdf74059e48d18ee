"""Events and usage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from runstore.v1 import events_pb2, run_service_pb2
from runstore_storage.contract.event_rows import EventRow, EventRows
from runstore_storage.contract.events import Appended, Event, EventFilter, RecordedEvent, Usage

from runstore_server.convert.payloads import payload_of, set_payload
from runstore_server.convert.times import duration, micros_of, set_time, time_of

_OPTIONAL_TEXTS = ("node_id", "actor", "model", "tool", "trace_parent")


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
        subjects=tuple(message.subjects),
    )


def events_of(messages: Iterable[events_pb2.Event]) -> tuple[Event, ...]:
    return tuple(event_of(message) for message in messages)


def event_message(recorded: RecordedEvent) -> events_pb2.Event:
    message = events_pb2.Event()
    set_event(message, recorded)
    return message


def set_event(message: events_pb2.Event, recorded: RecordedEvent) -> None:
    """Fill an empty message; setting its fields takes a third of the time of constructing it."""
    event = recorded.event
    message.event_id = event.event_id
    message.type = event.type
    if event.payload:
        set_payload(message.payload, event.payload)
    for name in _OPTIONAL_TEXTS:
        if value := getattr(event, name):
            setattr(message, name, value)
    if event.tags:
        message.tags.extend(event.tags)
    if event.usage:
        message.usage.CopyFrom(usage_message(event.usage))
    if event.occurred_at:
        set_time(message.occurred_at, event.occurred_at)
    message.seq = recorded.seq
    set_time(message.recorded_at, recorded.recorded_at)
    message.hash = recorded.hash
    _set_salted(message, event.subjects, recorded.salt, recorded.erased)


def add_events(
    messages: RepeatedCompositeFieldContainer[events_pb2.Event], recorded: Sequence[RecordedEvent]
) -> None:
    """Add a message for each event; what is in rows goes from there into messages."""
    if isinstance(recorded, EventRows):
        for row in recorded.rows:
            _set_row(messages.add(), row)
    else:
        for each in recorded:
            set_event(messages.add(), each)


def _set_row(message: events_pb2.Event, row: EventRow) -> None:
    """As `set_event`, in half the time that it and making the event take."""
    (
        _run,
        message.seq,
        recorded_at,
        message.hash,
        message.event_id,
        message.type,
        node_id,
        actor,
        model,
        tool,
        tags,
        trace_parent,
        occurred_at,
        json,
        binary,
        content_type,
        _bytes,
        _blob,
        subjects,
        salt,
        erased,
        *used,
    ) = row
    set_time(message.recorded_at, recorded_at)
    if json is not None:
        message.payload.json = json
    elif binary is not None:
        message.payload.binary = binary
    if content_type:
        message.payload.content_type = content_type
    if node_id:
        message.node_id = node_id
    if actor:
        message.actor = actor
    if model:
        message.model = model
    if tool:
        message.tool = tool
    if tags:
        message.tags.extend(tags)
    if used[0] is not None:
        message.usage.CopyFrom(usage_message(Usage(*used)))
    if trace_parent:
        message.trace_parent = trace_parent
    if occurred_at:
        set_time(message.occurred_at, occurred_at.replace(tzinfo=UTC))
    _set_salted(message, subjects, salt, erased)


def _set_salted(
    message: events_pb2.Event,
    subjects: Sequence[str] | None,
    salt: bytes | None,
    erased: tuple[datetime, bytes | None, bytes] | None,
) -> None:
    if subjects:
        message.subjects.extend(subjects)
    if salt:
        message.salt = salt
    if erased:
        at, sealed, _ = erased
        set_time(message.erased_at, at)
        message.sealed = sealed or b""


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
    message = run_service_pb2.AppendEventResponse()
    set_appended(message, appended)
    return message


def set_appended(message: run_service_pb2.AppendEventResponse, appended: Appended) -> None:
    """Fill an empty message."""
    message.seq = appended.seq
    set_time(message.recorded_at, appended.recorded_at)
    message.hash = appended.hash
    message.deduplicated = appended.deduplicated
    message.event_id = appended.event_id
