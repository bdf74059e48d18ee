"""The two halves of a saver: a synchronous one, and an asynchronous one for each event loop.

An asynchronous connection belongs to the loop it is opened in. A saver can be made anywhere, and
`asyncio.run` may be called many times, so each half is opened when it is first needed.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import NamedTuple, NoReturn, SupportsIndex, TypedDict, Unpack

import grpc

from runstore.aio.connection import AsyncConnection
from runstore.channels import refuse_to_pickle
from runstore.langgraph.aio.listing import AsyncListings
from runstore.langgraph.aio.threads import AsyncThreads
from runstore.langgraph.aio.upkeep import AsyncUpkeep
from runstore.langgraph.memory import Memory
from runstore.langgraph.sync.listing import Listings
from runstore.langgraph.sync.threads import Threads
from runstore.langgraph.sync.upkeep import Upkeep
from runstore.sync.connection import Connection
from runstore.tls import Tls
from runstore.tokens import Metadata


class ConnectionFields(TypedDict):
    """How a saver connects; see `runstore.connect`."""

    timeout: float
    tls: Tls | None
    credentials: grpc.ChannelCredentials | None
    metadata: Metadata
    token: str | None
    token_file: str | os.PathLike[str] | None
    insecure_token: bool


class SyncHalf(NamedTuple):
    connection: Connection
    threads: Threads
    listings: Listings
    upkeep: Upkeep


class AsyncHalf(NamedTuple):
    connection: AsyncConnection
    threads: AsyncThreads
    listings: AsyncListings
    upkeep: AsyncUpkeep


class Halves:
    """Opens the halves; they share one memory, and so one claim of a thread."""

    def __init__(
        self,
        target: str | None,
        project: str,
        *,
        max_sessions: int,
        **fields: Unpack[ConnectionFields],
    ) -> None:
        self._target = target
        self._project = project
        self._fields = fields
        self._memory = Memory(max_sessions)
        self._guard = threading.Lock()
        self._sync: SyncHalf | None = None
        self._aio: dict[asyncio.AbstractEventLoop, AsyncHalf] = {}

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        refuse_to_pickle()

    def sync(self) -> SyncHalf:
        """The synchronous half."""
        with self._guard:
            if self._sync is None:
                connection = Connection(self._target, **self._fields)
                threads = Threads(connection, self._project, self._memory)
                listings = Listings(connection, self._project, threads)
                upkeep = Upkeep(connection, self._project, self._memory, threads, listings)
                self._sync = SyncHalf(connection, threads, listings, upkeep)
            return self._sync

    def aio(self) -> AsyncHalf:
        """The asynchronous half of the running loop."""
        loop = asyncio.get_running_loop()
        with self._guard:
            for other in [each for each in self._aio if each.is_closed()]:
                del self._aio[other]
            if loop not in self._aio:
                connection = AsyncConnection(self._target, **self._fields)
                threads = AsyncThreads(connection, self._project, self._memory)
                listings = AsyncListings(connection, self._project, threads)
                upkeep = AsyncUpkeep(connection, self._project, self._memory, threads, listings)
                self._aio[loop] = AsyncHalf(connection, threads, listings, upkeep)
            return self._aio[loop]

    def close(self) -> None:
        """Close the synchronous half; a later call reopens it."""
        with self._guard:
            half, self._sync = self._sync, None
        if half:
            half.connection.close()

    async def aclose(self) -> None:
        """Close the synchronous half and that of the running loop."""
        self.close()
        with self._guard:
            half = self._aio.pop(asyncio.get_running_loop(), None)
        if half:
            await half.connection.close()
