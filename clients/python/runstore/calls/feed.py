"""Calls about the feed and its consumers."""

from __future__ import annotations

from typing import Any

from runstore.arguments import only_known
from runstore.calls.call import FEED, Call, Page, page_of
from runstore.v1 import feed_service_pb2 as rpc
from runstore.values.feed import Consumer, FeedFields, FeedPage
from runstore.wire.feed import consumer_value, filter_message, page_value
from runstore.wire.messages import message_of


def read_feed(
    project: str, from_position: int, page_size: int, allow_gaps: bool, where: FeedFields
) -> Call[FeedPage]:
    only_known(where, FeedFields)
    request = message_of(
        rpc.ReadFeedRequest,
        project=project,
        from_position=from_position,
        page_size=page_size,
        filter=filter_message(where),
        allow_gaps=allow_gaps,
    )
    return Call(FEED, "ReadFeed", request, page_value)


def commit_position(project: str, consumer: str, position: int) -> Call[Consumer]:
    request = message_of(
        rpc.CommitPositionRequest, project=project, consumer=consumer, position=position
    )
    return Call(FEED, "CommitPosition", request, _consumer)


def reset_consumer(project: str, consumer: str, position: int) -> Call[Consumer]:
    request = message_of(
        rpc.ResetConsumerRequest, project=project, consumer=consumer, position=position
    )
    return Call(FEED, "ResetConsumer", request, _consumer)


def get_consumer(project: str, consumer: str) -> Call[Consumer]:
    request = message_of(rpc.GetConsumerRequest, project=project, consumer=consumer)
    return Call(FEED, "GetConsumer", request, _consumer)


def list_consumers(project: str, page_token: str) -> Call[Page[Consumer]]:
    request = message_of(rpc.ListConsumersRequest, project=project, page_token=page_token)
    return Call(FEED, "ListConsumers", request, page_of("consumers", consumer_value))


def _consumer(response: Any) -> Consumer:
    return consumer_value(response.consumer)
