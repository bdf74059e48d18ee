"""The two halves of a saver: a synchronous client, and an asynchronous one for each event loop.

An asynchronous connection belongs to the loop it is opened in, while a saver is made anywhere, and
`asyncio.run` may be called many times. So each is opened when it is first needed.
"""

from __future__ import annotations

import asyncio
import threading
from typing import NamedTuple, TypedDict, Unpack

import grpc

from runstore.aio.client import AsyncClient
from runstore.channels import Metadata
from runstore.langgraph.aio.listing import AsyncListings
from runstore.langgraph.aio.threads import AsyncThreads
from runstore.langgraph.aio.upkeep import AsyncUpkeep
from runstore.langgraph.memory import Memory
from runstore.langgraph.sync.listing import Listings
from runstore.langgraph.sync.threads import Threads
from runstore.langgraph.sync.upkeep import Upkeep
from runstore.sync.client import Client


class Connection(TypedDict):
    """How a client connects; see `runstore.connect`."""

    project: str
    timeout: float
    credentials: grpc.ChannelCredentials | None
    metadata: Metadata


class SyncHalf(NamedTuple):
    client: Client
    threads: Threads
    listings: Listings
    upkeep: Upkeep


class AsyncHalf(NamedTuple):
    client: AsyncClient
    threads: AsyncThreads
    listings: AsyncListings
    upkeep: AsyncUpkeep


class Halves:
    """Opens what is needed; both halves share one memory, and so one claim of a thread."""

    def __init__(
        self, target: str | None, *, max_sessions: int, **connection: Unpack[Connection]
    ) -> None:
        self._target = target
        self._connection = connection
        self._memory = Memory(max_sessions)
        self._guard = threading.Lock()
        self._sync: SyncHalf | None = None
        self._aio: dict[asyncio.AbstractEventLoop, AsyncHalf] = {}

    def sync(self) -> SyncHalf:
        """The synchronous half."""
        with self._guard:
            if self._sync is None:
                client = Client(self._target, **self._connection)
                threads = Threads(client, self._memory)
                listings = Listings(client, threads)
                upkeep = Upkeep(client, self._memory, threads, listings)
                self._sync = SyncHalf(client, threads, listings, upkeep)
            return self._sync

    def aio(self) -> AsyncHalf:
        """The asynchronous half of the running loop."""
        loop = asyncio.get_running_loop()
        with self._guard:
            for other in [each for each in self._aio if each.is_closed()]:
                del self._aio[other]
            if loop not in self._aio:
                client = AsyncClient(self._target, **self._connection)
                threads = AsyncThreads(client, self._memory)
                listings = AsyncListings(client, threads)
                upkeep = AsyncUpkeep(client, self._memory, threads, listings)
                self._aio[loop] = AsyncHalf(client, threads, listings, upkeep)
            return self._aio[loop]

    def close(self) -> None:
        """Close the synchronous half; a later call opens it again."""
        with self._guard:
            half, self._sync = self._sync, None
        if half:
            half.client.close()

    async def aclose(self) -> None:
        """Close the synchronous half and the running loop's."""
        self.close()
        with self._guard:
            half = self._aio.pop(asyncio.get_running_loop(), None)
        if half:
            await half.client.close()
