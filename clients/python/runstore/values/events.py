"""Events, as they are appended and as they are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from runstore.arguments import InvalidArgument, not_of, only_known
from runstore.values.payloads import Payload, Value


@dataclass(frozen=True, slots=True)
class Usage:
    """What an event cost, or a sum over several. `cost_micros` are millionths of a US dollar."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_micros: int = 0
    duration: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to append. Without an `event_id` the client makes one, so that it can retry.

    `subjects` say whom it is about, so that all about one of them can be found and erased.
    """

    type: str
    payload: Value = None
    event_id: str = ""
    node_id: str = ""
    actor: str = ""
    model: str = ""
    tool: str = ""
    tags: Sequence[str] = ()
    usage: Usage | None = None
    trace_parent: str = ""
    occurred_at: datetime | None = None
    subjects: Sequence[str] = ()


class EventFields(TypedDict, total=False):
    """The fields of a new event other than its type and payload."""

    event_id: str
    node_id: str
    actor: str
    model: str
    tool: str
    tags: Sequence[str]
    usage: Usage | None
    trace_parent: str
    occurred_at: datetime | None
    subjects: Sequence[str]


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it was recorded; `salt` is empty where its hash was made without one.

    Of an event that was erased, payload, actor, tags, subjects and salt are gone; `sealed` is the
    hash of them, empty where that was made without a salt. `erased_at` is None of any other.
    """

    seq: int
    type: str
    payload: Payload | None
    event_id: str
    node_id: str
    actor: str
    model: str
    tool: str
    tags: tuple[str, ...]
    usage: Usage | None
    trace_parent: str
    occurred_at: datetime | None
    recorded_at: datetime
    hash: bytes
    subjects: tuple[str, ...] = ()
    salt: bytes = b""
    sealed: bytes = b""
    erased_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """The seq, time and hash an event was given; `deduplicated` if it had been stored before."""

    seq: int
    recorded_at: datetime
    hash: bytes
    deduplicated: bool
    event_id: str


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events; `next_from_seq` is 0 if it reaches the run's last event."""

    events: tuple[Event, ...]
    next_from_seq: int
    last_seq: int


class FilterFields(TypedDict, total=False):
    """Selects events with any of the types, any of the nodes, and all of the tags."""

    types: Sequence[str]
    node_ids: Sequence[str]
    tags: Sequence[str]


def event_of(event: str | NewEvent, payload: Value, fields: EventFields) -> NewEvent:
    """The event an append stands for; raise `InvalidArgument` if fields are beside a `NewEvent`."""
    only_known(fields, EventFields)
    if isinstance(event, str):
        return NewEvent(event, payload, **fields)
    if not isinstance(event, NewEvent):
        raise not_of("a type (str) or a NewEvent", event, "event")
    if payload is not None or fields:
        raise InvalidArgument("event", "has the payload and fields in it, not beside it")
    return event
