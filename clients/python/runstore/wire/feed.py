"""Entries and consumers of the feed as messages, and back."""

from __future__ import annotations

from runstore.v1 import feed_pb2
from runstore.v1 import feed_service_pb2 as rpc
from runstore.values.feed import Consumer, FeedEntry, FeedFields, FeedPage
from runstore.wire.events import event_value
from runstore.wire.messages import message_of
from runstore.wire.times import time_value


def filter_message(fields: FeedFields) -> feed_pb2.FeedFilter:
    return message_of(
        feed_pb2.FeedFilter,
        types=fields.get("types", ()),
        tags=fields.get("tags", ()),
        labels=fields.get("labels", {}),
    )


def entry_value(message: feed_pb2.FeedEntry) -> FeedEntry:
    return FeedEntry(
        message.position,
        message.run_id,
        event_value(message.event),
        time_value(message.published_at),
    )


def page_value(message: rpc.ReadFeedResponse) -> FeedPage:
    return FeedPage(
        tuple(map(entry_value, message.entries)), message.next_position, message.last_position
    )


def consumer_value(message: feed_pb2.Consumer) -> Consumer:
    return Consumer(
        message.name,
        message.position,
        message.last_position,
        time_value(message.created_at),
        time_value(message.committed_at),
    )
