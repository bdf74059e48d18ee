"""Entries of the feed and its consumers."""

from __future__ import annotations

from runstore.v1 import feed_pb2
from runstore_storage.contract.feed import Consumer, FeedEntry, FeedFilter

from runstore_server.convert.events import event_message
from runstore_server.convert.times import timestamp


def entry_message(entry: FeedEntry) -> feed_pb2.FeedEntry:
    return feed_pb2.FeedEntry(
        position=entry.position,
        run_id=entry.run_id,
        event=event_message(entry.recorded),
        published_at=timestamp(entry.published_at),
    )


def feed_filter_of(message: feed_pb2.FeedFilter) -> FeedFilter:
    return FeedFilter(tuple(message.types), tuple(message.tags), dict(message.labels))


def consumer_message(consumer: Consumer) -> feed_pb2.Consumer:
    return feed_pb2.Consumer(
        name=consumer.name,
        position=consumer.position,
        last_position=consumer.last_position,
        created_at=timestamp(consumer.created_at),
        committed_at=timestamp(consumer.committed_at),
    )
