"""The calls about the feed, as values; see `calls`."""

from __future__ import annotations

from google.protobuf.message import Message

from runstore.calls.runs import Answer, Call, T
from runstore.v1 import feed_service_pb2 as rpc
from runstore.values.feed import (
    Consumer,
    FeedFields,
    FeedPage,
    consumer_value,
    entry_value,
    filter_of,
)


def read_feed(
    project: str, from_position: int, page_size: int, where: FeedFields
) -> Call[FeedPage]:
    request = rpc.ReadFeedRequest(
        project=project, from_position=from_position, page_size=page_size, filter=filter_of(where)
    )
    return _call(
        "ReadFeed",
        request,
        lambda response: FeedPage(
            tuple(entry_value(each) for each in response.entries),
            response.next_position,
            response.last_position,
        ),
    )


def commit(project: str, consumer: str, position: int) -> Call[Consumer]:
    request = rpc.CommitPositionRequest(project=project, consumer=consumer, position=position)
    return _call("CommitPosition", request, lambda response: consumer_value(response.consumer))


def reset(project: str, consumer: str, position: int) -> Call[Consumer]:
    request = rpc.ResetConsumerRequest(project=project, consumer=consumer, position=position)
    return _call("ResetConsumer", request, lambda response: consumer_value(response.consumer))


def get_consumer(project: str, consumer: str) -> Call[Consumer]:
    request = rpc.GetConsumerRequest(project=project, consumer=consumer)
    return _call("GetConsumer", request, lambda response: consumer_value(response.consumer))


def list_consumers(project: str, page_token: str) -> Call[tuple[list[Consumer], str]]:
    request = rpc.ListConsumersRequest(project=project, page_token=page_token)
    return _call(
        "ListConsumers",
        request,
        lambda response: (
            [consumer_value(each) for each in response.consumers],
            response.next_page_token,
        ),
    )


def _call(method: str, request: Message, answer: Answer[T]) -> Call[T]:
    return Call(method, request, answer, service="feed_service")
