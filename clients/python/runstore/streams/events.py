"""A stream of events as the client keeps it whole: what to ask for, what to make of the answers.

No I/O happens here; the async and the sync client drive it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

from runstore.errors import ProtocolError, RunstoreError
from runstore.fields import FilterFields, filter_message
from runstore.retry import Backoff, Patience
from runstore.v1 import events_pb2
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.runs import CaughtUp, EndOfRun, Event, Heartbeat, Outcome, StreamItem
from runstore.wire import runs as wire
from runstore.wire.times import duration

MISSED_HEARTBEATS = 3

T_co = TypeVar("T_co", covariant=True)


class StreamFields(FilterFields, total=False):
    """What a stream may be asked for beside its start; see `StreamQuery`."""

    wait_for_run: bool
    heartbeat_seconds: float
    patience_seconds: float


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """What is wanted of a run's events."""

    project: str
    run_id: str
    from_seq: int = 1
    follow: bool = False
    types: Sequence[str] = ()
    node_ids: Sequence[str] = ()
    tags: Sequence[str] = ()
    wait_for_run: bool = False
    heartbeat_seconds: float = 10.0
    patience_seconds: float = 60.0
    """How long to go on failing, from the first failure after a message, before one is raised."""

    @property
    def is_filtered(self) -> bool:
        return bool(self.types or self.node_ids or self.tags)


class Follows(Protocol[T_co]):
    """A stream that goes on after it broke, whatever it brings."""

    @property
    def service(self) -> str: ...

    @property
    def method(self) -> str: ...

    @property
    def is_over(self) -> bool: ...

    @property
    def silence_seconds(self) -> float:
        """How long a live stream may be silent before it is taken for dead."""

    def request(self) -> Message:
        """What to ask for now: everything not delivered yet."""

    def take(self, message: Any) -> Iterator[T_co]:
        """Yield what the message brings, each item once; note how far the stream got."""

    def retry_delay(self, error: RunstoreError) -> float | None:
        """How long to wait before the stream is opened again; None when it is given up."""

    def ended(self) -> None:
        """The server ended the stream with OK; raise `ProtocolError` where it may not."""


class Following:
    """Where a stream of a run's events stands."""

    service, method = "run_service", "StreamEvents"

    def __init__(self, query: StreamQuery, backoff: Backoff) -> None:
        self._query = query
        self._next_seq = max(query.from_seq, 1)
        self.is_over = False
        self._patience = Patience(query.patience_seconds, backoff)

    @property
    def silence_seconds(self) -> float:
        return self._query.heartbeat_seconds * MISSED_HEARTBEATS

    def request(self) -> rpc.StreamEventsRequest:
        query = self._query
        return rpc.StreamEventsRequest(
            project=query.project,
            run_id=query.run_id,
            from_seq=self._next_seq,
            filter=filter_message(
                {"types": query.types, "node_ids": query.node_ids, "tags": query.tags}
            ),
            follow=query.follow,
            wait_for_run=query.wait_for_run,
            heartbeat_interval=duration(timedelta(seconds=query.heartbeat_seconds)),
        )

    def take(self, message: rpc.StreamEventsResponse) -> Iterator[StreamItem]:
        self._patience.renew()
        kind = message.WhichOneof("message")
        if kind == "events":
            yield from self._events(message.events.events)
        elif kind == "caught_up":
            self._reached(message.caught_up.last_seq)
            yield CaughtUp(message.caught_up.last_seq)
        elif kind == "heartbeat":
            self._reached(message.heartbeat.last_seq)
            yield Heartbeat(message.heartbeat.last_seq)
        elif kind == "end_of_run":
            end = message.end_of_run
            self._reached(end.last_seq)
            self.is_over = True
            yield EndOfRun(end.last_seq, Outcome(end.outcome))

    def retry_delay(self, error: RunstoreError) -> float | None:
        return self._patience.delay(error)

    def ended(self) -> None:
        if self._query.follow and not self.is_over:
            raise ProtocolError("the server ended a followed stream before the run's end")
        self.is_over = True

    def _events(self, messages: Iterable[events_pb2.Event]) -> Iterator[Event]:
        for message in messages:
            if message.seq < self._next_seq:
                continue
            if message.seq > self._next_seq and not self._query.is_filtered:
                raise ProtocolError(f"expected event {self._next_seq}, got {message.seq}")
            self._next_seq = message.seq + 1
            yield wire.event_value(message)

    def _reached(self, last_seq: int) -> None:
        if not self._query.is_filtered and last_seq >= self._next_seq:
            raise ProtocolError(f"events from {self._next_seq} to {last_seq} were left out")
        self._next_seq = max(self._next_seq, last_seq + 1)
