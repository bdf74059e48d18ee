"""The bytes that clients of streams have not read yet: bounded over all streams of a process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from runstore_storage.contract.errors import Overloaded

# Smaller messages are not counted: what gRPC and sockets buffer for a connection is more.
SMALL_BYTES = 16 << 10
PATIENCE_SECONDS = 5.0
RETRY_AFTER_SECONDS = 1.0
_UNCOUNTED = nullcontext()


class Unread:
    """The messages on their way to the clients of streams: at most `limit` bytes.

    One client's are at most half of that, so that it leaves room for others. A message without room
    waits for it, as long as those that wait are no more than `limit` bytes either; then its stream
    is refused. Streams that hold messages are not ended for it: gRPC keeps their bytes until their
    clients read or are gone, whatever the server does.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._waiting = 0
        self._of_clients: Counter[str] = Counter()
        self._freed = asyncio.Event()

    def held(self, client: str, size: int) -> AbstractAsyncContextManager[None]:
        """Count a message while the context lasts, in which it is sent.

        Raise `Overloaded` if there is no room for it within some seconds. A client's only message
        has room where the other clients' leave any.
        """
        return _UNCOUNTED if size <= SMALL_BYTES else self._counted(client, size)

    @asynccontextmanager
    async def _counted(self, client: str, size: int) -> AsyncIterator[None]:
        if not self._has_room(client, size):
            await self._wait(client, size)
        self._bytes += size
        self._of_clients[client] += size
        try:
            yield
        finally:
            self._bytes -= size
            self._of_clients[client] -= size
            if not self._of_clients[client]:
                del self._of_clients[client]
            self._freed.set()

    def _has_room(self, client: str, size: int) -> bool:
        own = self._of_clients.get(client, 0)
        return (not self._bytes or self._bytes + size <= self._limit) and (
            not own or own + size <= self._limit // 2
        )

    async def _wait(self, client: str, size: int) -> None:
        if self._waiting and self._waiting + size > self._limit:
            raise self._refusal()
        self._waiting += size
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not self._has_room(client, size):
                    self._freed.clear()
                    await self._freed.wait()
        except TimeoutError:
            raise self._refusal() from None
        finally:
            self._waiting -= size

    def _refusal(self) -> Overloaded:
        return Overloaded(
            RETRY_AFTER_SECONDS,
            f"clients of streams have not read {self._bytes} bytes of this server",
        )
