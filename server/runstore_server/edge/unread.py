"""The bytes that clients of streams have not read yet: bounded over all streams of a process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import NamedTuple, Self, TypeVar

from runstore_storage.contract.errors import Overloaded

# Smaller messages are not counted: what gRPC and sockets buffer for a connection is more.
SMALL_BYTES = 16 << 10
# How many streams read from the database at a time: fewer than it has connections.
TURNS = 4
PATIENCE_SECONDS = 5.0
RETRY_AFTER_SECONDS = 1.0

Page = TypeVar("Page")


class Room:
    """What one stream holds of `Unread`: the message that its client has not read.

    As a context it lasts as long as the stream.
    """

    def __init__(self, unread: Unread, client: str) -> None:
        self.client = client
        self.held = 0
        self.has_been_read = False
        """Whether the client has read a message that was counted."""
        self._unread = unread

    async def page(
        self,
        read: Callable[[], Awaitable[Page]],
        size_of: Callable[[Page], int],
        *,
        is_in_memory: bool = False,
    ) -> Page:
        """Read a page that there is room for until it is `sent`.

        Only some streams of a process read at a time, unless what they read is in memory.

        A page without room is dropped, and read again when there is some: what waits holds no
        bytes. Raise `Overloaded` if there is none within some seconds.
        """
        asked = None
        async with nullcontext() if is_in_memory else self._unread.turns:
            page = await read()
            if (size := size_of(page)) > SMALL_BYTES:
                asked = self._unread.ask(self, size)
        if asked and not asked.done():
            del page
            await self._unread.granted(asked)
            async with self._unread.turns:
                page = await read()
            self._unread.resize(self, size_of(page))
        return page

    async def take(self, size: int) -> None:
        """Take room for a message that is not made yet, as for a page."""
        if size > SMALL_BYTES and not (asked := self._unread.ask(self, size)).done():
            await self._unread.granted(asked)

    def sent(self) -> None:
        """Note that the client, or what buffers for it, has taken the message."""
        if self.held:
            self.has_been_read = True
            self._unread.resize(self, 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._unread.resize(self, 0)


class _Asked(NamedTuple):
    room: Room
    size: int
    granted: asyncio.Future[None]


class Unread:
    """The messages on their way to the clients of streams: at most `limit` bytes.

    One client's are at most half of that. Streams of which no message has been read yet may fill
    three quarters of either, so that a flood of streams that are never read leaves room for others.
    A message has room beside none, whatever its size. Room is given in the order of asking.

    Streams that hold messages are not ended for it: gRPC keeps their bytes until their clients read
    or are gone, whatever the server does.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._of_clients: Counter[str] = Counter()
        self._asked: list[_Asked] = []
        self.turns = asyncio.Semaphore(TURNS)

    def room(self, client: str) -> Room:
        """The room of one more stream of a client."""
        return Room(self, client)

    def ask(self, room: Room, size: int) -> asyncio.Future[None]:
        """Queue for room; the future is done when there is room, and the room holds it."""
        granted = asyncio.get_running_loop().create_future()
        self._asked.append(_Asked(room, size, granted))
        self._grant()
        return granted

    async def granted(self, asked: asyncio.Future[None]) -> None:
        """Return when there is room, or raise `Overloaded` when there was none for too long."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asked
        except TimeoutError:
            raise Overloaded(
                RETRY_AFTER_SECONDS,
                f"clients of streams have not read {self._bytes} bytes of this server",
            ) from None
        finally:
            self._asked = [each for each in self._asked if each.granted is not asked]

    def resize(self, room: Room, size: int) -> None:
        """Let the room hold this much, whether there is room or not."""
        grown = size - room.held
        room.held = size
        self._bytes += grown
        self._of_clients[room.client] += grown
        if not self._of_clients[room.client]:
            del self._of_clients[room.client]
        if grown < 0:
            self._grant()

    def _grant(self) -> None:
        """Give what room there is, in order; a large message is not overtaken by smaller ones."""
        is_held_up = {True: False, False: False}
        for each in list(self._asked):
            room, size, granted = each
            if is_held_up[room.has_been_read] or not self._has_share(room, size):
                continue
            if not self._has_room(room, size):
                is_held_up[room.has_been_read] = True
                continue
            self._asked.remove(each)
            self.resize(room, size)
            if not granted.done():
                granted.set_result(None)

    def _has_share(self, room: Room, size: int) -> bool:
        own = self._of_clients.get(room.client, 0)
        return not own or own + size <= self._limit_of(room) // 2

    def _has_room(self, room: Room, size: int) -> bool:
        return not self._bytes or self._bytes + size <= self._limit_of(room)

    def _limit_of(self, room: Room) -> int:
        return self._limit if room.has_been_read else self._limit * 3 // 4
