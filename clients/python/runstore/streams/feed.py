"""A stream of the feed."""

from __future__ import annotations

from collections.abc import Iterator

from runstore.arguments import integer, only_known, seconds
from runstore.calls.call import FEED
from runstore.errors import ProtocolError, RunstoreError
from runstore.retry import Backoff, Patience
from runstore.streams.resumable import MISSED_HEARTBEATS
from runstore.v1 import feed_service_pb2 as rpc
from runstore.values.feed import FeedItem, FeedMark, FollowFields
from runstore.wire.feed import entry_value, filter_message
from runstore.wire.messages import message_of
from runstore.wire.times import seconds_message


class FeedStream:
    """A `ResumableStream` that continues after the last position it delivered.

    Only the first request starts at the position a consumer committed: what has been delivered
    since counts, committed or not.
    """

    service, method = FEED, "FollowFeed"
    is_over = False

    def __init__(
        self,
        project: str,
        from_position: int,
        consumer: str,
        fields: FollowFields,
        backoff: Backoff,
    ) -> None:
        only_known(fields, FollowFields)
        self._project = project
        self._next_position = integer(from_position, "from_position")
        self._consumer = consumer
        self._filter = filter_message(fields)
        self._allow_gaps = fields.get("allow_gaps", False)
        self._heartbeat_seconds = fields.get("heartbeat_seconds", 10.0)
        patience = seconds(fields.get("patience_seconds", 60.0), "patience_seconds")
        self._patience = Patience(patience, backoff)

    @property
    def silence_seconds(self) -> float:
        return self._heartbeat_seconds * MISSED_HEARTBEATS

    def request(self) -> rpc.FollowFeedRequest:
        return message_of(
            rpc.FollowFeedRequest,
            project=self._project,
            from_position=self._next_position,
            consumer="" if self._next_position else self._consumer,
            filter=self._filter,
            allow_gaps=self._allow_gaps,
            heartbeat_interval=seconds_message(self._heartbeat_seconds, "heartbeat_seconds"),
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
