"""The feed of a project: its values, and what a stream of it asks for and makes of the answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict

from runstore.errors import ProtocolError, RunstoreError
from runstore.retry import Backoff, Patience
from runstore.streams.events import MISSED_HEARTBEATS
from runstore.v1 import feed_pb2
from runstore.v1 import feed_service_pb2 as rpc
from runstore.values.runs import Event
from runstore.wire import runs as wire
from runstore.wire.times import duration, time_of


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A published event with its place among the events of all runs."""

    position: int
    run_id: str
    event: Event
    published_at: datetime


@dataclass(frozen=True, slots=True)
class FeedMark:
    """Every selected entry up to `position` was delivered; it may be committed.

    `is_live` when the stream has just reached the feed's end, otherwise it is a sign of life.
    """

    position: int
    is_live: bool


FeedItem = FeedEntry | FeedMark


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Entries in order; the next page begins at `next_position`, and the end is reached where that
    is beyond `last_position`."""

    entries: tuple[FeedEntry, ...]
    next_position: int
    last_position: int


@dataclass(frozen=True, slots=True)
class Consumer:
    """A named reader, done with all up to `position`; the feed's end is `last_position`."""

    name: str
    position: int
    last_position: int
    created_at: datetime
    committed_at: datetime


class FeedFields(TypedDict, total=False):
    """Which entries: any of the types, all of the tags, all of the run's labels."""

    types: Sequence[str]
    tags: Sequence[str]
    labels: Mapping[str, str]


class FollowFields(FeedFields, total=False):
    """What following may be asked for beside its start; seconds, as for a stream of events."""

    heartbeat_seconds: float
    patience_seconds: float


class FeedFollowing:
    """Where a stream of the feed stands; see `following.Following`.

    A consumer's committed position is asked for by the first request alone: what was delivered
    since counts, committed or not.
    """

    service, method = "feed_service", "FollowFeed"
    is_over = False

    def __init__(
        self,
        project: str,
        from_position: int,
        consumer: str,
        fields: FollowFields,
        backoff: Backoff,
    ) -> None:
        self._project = project
        self._next_position = from_position
        self._consumer = consumer
        self._filter = filter_of(fields)
        self._heartbeat_seconds = fields.get("heartbeat_seconds", 10.0)
        self._patience = Patience(fields.get("patience_seconds", 60.0), backoff)

    @property
    def silence_seconds(self) -> float:
        return self._heartbeat_seconds * MISSED_HEARTBEATS

    def request(self) -> rpc.FollowFeedRequest:
        return rpc.FollowFeedRequest(
            project=self._project,
            from_position=self._next_position,
            consumer="" if self._next_position else self._consumer,
            filter=self._filter,
            heartbeat_interval=duration(timedelta(seconds=self._heartbeat_seconds)),
        )

    def take(self, message: rpc.FollowFeedResponse) -> Iterator[FeedItem]:
        self._patience.renew()
        kind = message.WhichOneof("message")
        if kind == "entries":
            for entry in message.entries.entries:
                if entry.position >= self._next_position:
                    self._next_position = entry.position + 1
                    yield entry_value(entry)
        elif kind == "caught_up":
            yield self._mark(message.caught_up.position, is_live=True)
        elif kind == "heartbeat":
            yield self._mark(message.heartbeat.position, is_live=False)

    def retry_delay(self, error: RunstoreError) -> float | None:
        return self._patience.delay(error)

    def ended(self) -> None:
        raise ProtocolError("the server ended a stream of the feed, which has no end")

    def _mark(self, position: int, *, is_live: bool) -> FeedMark:
        self._next_position = max(self._next_position, position + 1)
        return FeedMark(position, is_live)


def filter_of(fields: FeedFields) -> feed_pb2.FeedFilter:
    return feed_pb2.FeedFilter(
        types=fields.get("types", ()), tags=fields.get("tags", ()), labels=fields.get("labels", {})
    )


def entry_value(message: feed_pb2.FeedEntry) -> FeedEntry:
    return FeedEntry(
        message.position,
        message.run_id,
        wire.event_value(message.event),
        time_of(message.published_at),
    )


def consumer_value(message: feed_pb2.Consumer) -> Consumer:
    return Consumer(
        message.name,
        message.position,
        message.last_position,
        time_of(message.created_at),
        time_of(message.committed_at),
    )
