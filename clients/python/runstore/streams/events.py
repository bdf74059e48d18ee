"""A stream of a run's events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runstore.arguments import integer, seconds
from runstore.calls.call import RUNS
from runstore.errors import ProtocolError, RunstoreError
from runstore.retry import Backoff, Patience
from runstore.streams.resumable import MISSED_HEARTBEATS
from runstore.v1 import events_pb2
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.events import Event
from runstore.values.outputs import Outcome
from runstore.values.streams import CaughtUp, EndOfRun, Heartbeat, StreamItem, StreamQuery
from runstore.wire.events import event_value, filter_message
from runstore.wire.messages import message_of
from runstore.wire.times import seconds_message


class EventStream:
    """A `ResumableStream` that continues after the last seq it delivered."""

    service, method = RUNS, "StreamEvents"

    def __init__(self, query: StreamQuery, backoff: Backoff) -> None:
        self._query = query
        self._next_seq = max(integer(query.from_seq, "from_seq"), 1)
        self.is_over = False
        self._patience = Patience(seconds(query.patience_seconds, "patience_seconds"), backoff)

    @property
    def silence_seconds(self) -> float:
        return self._query.heartbeat_seconds * MISSED_HEARTBEATS

    def request(self) -> rpc.StreamEventsRequest:
        query = self._query
        return message_of(
            rpc.StreamEventsRequest,
            project=query.project,
            run_id=query.run_id,
            from_seq=self._next_seq,
            filter=filter_message(
                {"types": query.types, "node_ids": query.node_ids, "tags": query.tags}
            ),
            follow=query.follow,
            wait_for_run=query.wait_for_run,
            read_archive=query.read_archive,
            heartbeat_interval=seconds_message(query.heartbeat_seconds, "heartbeat_seconds"),
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
            yield event_value(message)

    def _reached(self, last_seq: int) -> None:
        if not self._query.is_filtered and last_seq >= self._next_seq:
            raise ProtocolError(f"events {self._next_seq} to {last_seq} are missing")
        self._next_seq = max(self._next_seq, last_seq + 1)
