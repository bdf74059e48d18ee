"""The feed of an asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Unpack

from runstore.calls import feed as feed_calls
from runstore.retry import Backoff
from runstore.values.feed import (
    Consumer,
    FeedEntry,
    FeedFields,
    FeedFollowing,
    FeedItem,
    FeedPage,
    FollowFields,
)

if TYPE_CHECKING:
    from runstore.aio.client import AsyncClient


class AsyncFeed:
    """The events of all runs of a project in the order of their publication."""

    def __init__(self, client: AsyncClient, project: str, backoff: Backoff) -> None:
        self._client = client
        self._project = project
        self._backoff = backoff

    async def read(
        self, from_position: int = 0, *, page_size: int = 100, **where: Unpack[FeedFields]
    ) -> FeedPage:
        """A page of entries; the next one begins at its `next_position`."""
        return await self._client.send(
            feed_calls.read_feed(self._project, from_position, page_size, where)
        )

    async def entries(
        self, from_position: int = 0, *, consumer: str = "", **fields: Unpack[FollowFields]
    ) -> AsyncGenerator[FeedEntry]:
        """Yield entries from a position on, or after what a consumer committed.

        Each once and in order, for ever, over lost connections and server restarts.
        """
        async with aclosing(self.follow(from_position, consumer=consumer, **fields)) as items:
            async for item in items:
                if isinstance(item, FeedEntry):
                    yield item

    async def follow(
        self, from_position: int = 0, *, consumer: str = "", **fields: Unpack[FollowFields]
    ) -> AsyncGenerator[FeedItem]:
        """As `entries`, with the marks between them, which say how far it got."""
        following = FeedFollowing(self._project, from_position, consumer, fields, self._backoff)
        async with aclosing(self._client.follow(following)) as items:
            async for item in items:
                yield item

    async def commit(self, consumer: str, position: int) -> Consumer:
        """Note that a consumer is done with every entry up to `position`."""
        return await self._client.send(feed_calls.commit(self._project, consumer, position))

    async def reset(self, consumer: str, position: int = 0) -> Consumer:
        """Set a consumer back or forth."""
        return await self._client.send(feed_calls.reset(self._project, consumer, position))

    async def consumer(self, name: str) -> Consumer:
        """One consumer; `ConsumerNotFound` before its first commit."""
        return await self._client.send(feed_calls.get_consumer(self._project, name))

    async def consumers(self) -> AsyncIterator[Consumer]:
        """Yield the project's consumers by name."""
        async for consumer in self._client.pages(
            lambda token: feed_calls.list_consumers(self._project, token)
        ):
            yield consumer
