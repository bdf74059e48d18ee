"""The feed of an asynchronous client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Unpack

from runstore import calls
from runstore.aio.connection import AsyncConnection
from runstore.streams.feed import FeedStream
from runstore.values.feed import (
    Consumer,
    FeedEntry,
    FeedFields,
    FeedItem,
    FeedPage,
    FollowFields,
)


class AsyncFeed:
    """The events of all runs of a project in the order of their publication."""

    def __init__(self, connection: AsyncConnection, project: str) -> None:
        self._connection = connection
        self._project = project

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of project {self._project!r}>"

    async def read(
        self,
        from_position: int = 0,
        *,
        page_size: int = 100,
        allow_gaps: bool = False,
        **where: Unpack[FeedFields],
    ) -> FeedPage:
        """A page of entries; the next one begins at its `next_position`.

        Raise `EventsArchived` at an entry whose event is archived, unless gaps are allowed.
        """
        return await self._connection.send(
            calls.feed.read_feed(self._project, from_position, page_size, allow_gaps, where)
        )

    async def entries(
        self, from_position: int = 0, *, consumer: str = "", **fields: Unpack[FollowFields]
    ) -> AsyncGenerator[FeedEntry]:
        """Yield entries from a position on, or those after what a consumer committed.

        Each once and in order, without end, through lost connections and server restarts. With
        `allow_gaps`, archived events are left out; else they raise `EventsArchived`.
        """
        async with aclosing(self.follow(from_position, consumer=consumer, **fields)) as items:
            async for item in items:
                if isinstance(item, FeedEntry):
                    yield item

    async def follow(
        self, from_position: int = 0, *, consumer: str = "", **fields: Unpack[FollowFields]
    ) -> AsyncGenerator[FeedItem]:
        """As `entries`, with marks between them that say how far the feed has been delivered."""
        backoff = self._connection.backoff
        stream = FeedStream(self._project, from_position, consumer, fields, backoff)
        async with aclosing(self._connection.follow(stream)) as items:
            async for item in items:
                yield item

    async def commit(self, consumer: str, position: int) -> Consumer:
        """Record that a consumer has processed every entry up to `position`."""
        return await self._connection.send(
            calls.feed.commit_position(self._project, consumer, position)
        )

    async def reset(self, consumer: str, position: int = 0) -> Consumer:
        """Move a consumer back or forward."""
        return await self._connection.send(
            calls.feed.reset_consumer(self._project, consumer, position)
        )

    async def consumer(self, name: str) -> Consumer:
        """One consumer; raise `ConsumerNotFound` before its first commit."""
        return await self._connection.send(calls.feed.get_consumer(self._project, name))

    async def consumers(self) -> AsyncIterator[Consumer]:
        """Yield the project's consumers by name."""
        async for consumer in self._connection.pages(
            lambda token: calls.feed.list_consumers(self._project, token)
        ):
            yield consumer
