"""FeedService: the feed of a project and its named consumers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from runstore.v1 import feed_service_pb2 as rpc
from runstore.v1.feed_service_pb2_grpc import FeedServiceServicer
from runstore_storage.contract.errors import ConsumerNotFound
from runstore_storage.contract.feed import FeedStore

from runstore_server.convert.feed import consumer_message, entry_message, feed_filter_of
from runstore_server.convert.runs import project_of
from runstore_server.convert.times import heartbeat_seconds
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.unread import Unread
from runstore_server.pages import page_tokens
from runstore_server.pages.sizes import DEFAULT_LONG_PAGE
from runstore_server.streams.feed import FeedItem, Live, Silence, follow
from runstore_server.validation.requests import admit


class FeedService(FeedServiceServicer):
    def __init__(
        self,
        feed: FeedStore,
        lifecycle: Lifecycle,
        unread: Unread,
        *,
        default_heartbeat: float,
    ) -> None:
        self._feed = feed
        self._lifecycle = lifecycle
        self._unread = unread
        self._default_heartbeat = default_heartbeat

    async def ReadFeed(self, request: rpc.ReadFeedRequest, _context: Any) -> rpc.ReadFeedResponse:
        await admit(request)
        page = await self._feed.read_feed(
            project_of(request.project),
            request.from_position,
            limit=request.page_size or DEFAULT_LONG_PAGE,
            where=feed_filter_of(request.filter),
            allow_gaps=request.allow_gaps,
        )
        return rpc.ReadFeedResponse(
            entries=[entry_message(entry) for entry in page.entries],
            next_position=page.next_position,
            last_position=page.last_position,
        )

    async def FollowFeed(
        self, request: rpc.FollowFeedRequest, context: Any
    ) -> AsyncIterator[rpc.FollowFeedResponse]:
        await admit(request)
        items = follow(
            self._feed,
            self._lifecycle,
            project_of(request.project),
            await self._start(request),
            where=feed_filter_of(request.filter),
            allow_gaps=request.allow_gaps,
            heartbeat_seconds=heartbeat_seconds(request, self._default_heartbeat),
            room=self._unread.room(context.peer()),
        )
        async with aclosing(items):
            async for item in items:
                made = [_response(item)]
                del item  # neither is held while the client reads
                yield made.pop()

    async def CommitPosition(
        self, request: rpc.CommitPositionRequest, _context: Any
    ) -> rpc.CommitPositionResponse:
        await admit(request)
        consumer = await self._feed.commit_position(
            project_of(request.project), request.consumer, request.position
        )
        return rpc.CommitPositionResponse(consumer=consumer_message(consumer))

    async def GetConsumer(
        self, request: rpc.GetConsumerRequest, _context: Any
    ) -> rpc.GetConsumerResponse:
        await admit(request)
        consumer = await self._feed.get_consumer(project_of(request.project), request.consumer)
        return rpc.GetConsumerResponse(consumer=consumer_message(consumer))

    async def ListConsumers(
        self, request: rpc.ListConsumersRequest, _context: Any
    ) -> rpc.ListConsumersResponse:
        await admit(request)
        token = request.page_token
        page = await self._feed.list_consumers(
            project_of(request.project),
            limit=request.page_size or DEFAULT_LONG_PAGE,
            after=page_tokens.read(request, token)[0] if token else None,
        )
        return rpc.ListConsumersResponse(
            consumers=[consumer_message(each) for each in page.items],
            next_page_token=page_tokens.following(request, page.next_after),
        )

    async def ResetConsumer(
        self, request: rpc.ResetConsumerRequest, _context: Any
    ) -> rpc.ResetConsumerResponse:
        await admit(request)
        consumer = await self._feed.reset_consumer(
            project_of(request.project), request.consumer, request.position
        )
        return rpc.ResetConsumerResponse(consumer=consumer_message(consumer))

    async def _start(self, request: rpc.FollowFeedRequest) -> int:
        if not request.consumer:
            return request.from_position
        try:
            consumer = await self._feed.get_consumer(project_of(request.project), request.consumer)
        except ConsumerNotFound:
            return 0
        return consumer.position + 1


def _response(item: FeedItem) -> rpc.FollowFeedResponse:
    if isinstance(item, Live):
        return rpc.FollowFeedResponse(caught_up=rpc.FeedCaughtUp(position=item.position))
    if isinstance(item, Silence):
        return rpc.FollowFeedResponse(heartbeat=rpc.FeedHeartbeat(position=item.position))
    entries = [entry_message(entry) for entry in item]
    return rpc.FollowFeedResponse(entries=rpc.FeedBatch(entries=entries))
