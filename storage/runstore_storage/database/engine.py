"""The pool of connections to Postgres, and its transactions.

asyncpg opens every connection from one URL, so all that it understands there (hosts, sockets, TLS)
works. The search_path of a connection is the one schema that the store lives in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.connections import Connections
from runstore_storage.database.failures import translated
from runstore_storage.database.opening import (
    LOCK_SECONDS,
    READ_ONLY,
    ConnectionLost,
    Driver,
    is_read_only,
    losses_of,
)
from runstore_storage.database.statements import system

CLOSE_SECONDS = 1

IsolationLevel = Literal["read_committed", "repeatable_read"]

# A generic plan does not know whether a filter selects much or nothing.
_CUSTOM_PLANS = "set_config('plan_cache_mode', 'force_custom_plan', true)"
# Pages that a look-up reads are mostly in memory, where any page costs the same. And what an index
# can find is never searched for in a whole table, even where the planner believes it to be small.
_LOOKING_UP = system(
    f"SELECT {_CUSTOM_PLANS}, set_config('random_page_cost', '1.1', true),"
    " set_config('enable_seqscan', 'off', true)"
)
_ADDING_UP = system(f"SELECT {_CUSTOM_PLANS}, set_config('work_mem', '64MB', true)")


class Database:
    """A pool of such connections; each is opened when it is first needed."""

    def __init__(self, connections: Connections, *, pool_size: int) -> None:
        self._connections = connections

        async def opened(*_: object, **__: object) -> asyncpg.Connection:
            return await connections.open("runstore")

        self._pool = asyncpg.create_pool(
            connect=opened, reset=_leave, min_size=0, max_size=pool_size
        )

    @property
    def in_use(self) -> int:
        """How many connections are in use."""
        return self._pool.get_size() - self._pool.get_idle_size()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """A connection on which each statement is its own transaction."""
        await self._pool  # initialised by the first caller; this opens no connection yet
        try:
            held = await self._pool.acquire(timeout=LOCK_SECONDS)
        except asyncpg.InterfaceError as error:
            if self._pool.is_closing():
                raise ConnectionLost("the pool is closed") from error
            raise
        with self._connections.used(held):
            try:
                async with self._from_the_primary(held):
                    yield Connection(held)
            except BaseException:
                await self._give_back(held)
                raise
            await self._pool.release(held)

    async def _give_back(self, held: PoolConnectionProxy[Row]) -> None:
        """Return a connection whose use failed; if that fails too, the pool closes it.

        The driver returns it in a task of its own, whose failure no one sees if the caller, which
        was cancelled, is cancelled again.
        """
        returning = asyncio.ensure_future(self._pool.release(held))
        returning.add_done_callback(_seen)
        await asyncio.shield(returning)

    @asynccontextmanager
    async def _from_the_primary(self, held: Driver) -> AsyncIterator[None]:
        """Let no answer of a server that became read-only pass, nor a refusal made from one."""
        try:
            with losses_of(held):
                yield
        except Exception as error:
            if is_read_only(held, error):
                await self.renew()
                raise ConnectionLost(READ_ONLY) from error
            raise
        if is_read_only(held):
            await self.renew()
            raise ConnectionLost(READ_ONLY)

    async def renew(self) -> None:
        """Use no open connection again; each is closed when it is returned or would be taken."""
        await self._pool.expire_connections()

    @asynccontextmanager
    async def begin(
        self, *, isolation: IsolationLevel = "read_committed", readonly: bool = False
    ) -> AsyncIterator[Connection]:
        """One transaction, committed at the end, rolled back when it fails."""
        async with (
            self.connect() as conn,
            conn.driver.transaction(isolation=isolation, readonly=readonly),
        ):
            yield conn

    async def dispose(self) -> None:
        """Close every connection; terminate those that are still in use a second later."""
        await self._pool  # which does not close before it was used
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


def _seen(returned: asyncio.Future[None]) -> None:
    """Take note of a failure whose caller is gone."""
    if not returned.cancelled():
        returned.exception()


async def _leave(_: asyncpg.Connection) -> None:
    """Reset nothing when a connection is returned: settings are set for one transaction only."""


@asynccontextmanager
async def writing(engine: Database) -> AsyncIterator[Connection]:
    """One transaction, committed at the end; raise `StorageUnavailable` if it cannot be."""
    async with translated(), engine.begin() as conn:
        yield conn


@asynccontextmanager
async def reading(engine: Database) -> AsyncIterator[Connection]:
    """A connection on which each statement sees what was committed when it began."""
    async with translated(), engine.connect() as conn:
        yield conn


@asynccontextmanager
async def consistent(engine: Database) -> AsyncIterator[Connection]:
    """One read-only transaction that sees what was committed when it began, until it ends."""
    async with translated(), engine.begin(isolation="repeatable_read", readonly=True) as conn:
        yield conn


@asynccontextmanager
async def looking_up(engine: Database) -> AsyncIterator[Connection]:
    """A transaction that reads a few rows by any filter, through the index that fits it best."""
    async with translated(), engine.begin() as conn:
        await look_up(conn)
        yield conn


async def look_up(conn: Connection) -> None:
    """Have the statements of this transaction planned as those of `looking_up` are."""
    await conn.execute(_LOOKING_UP)


@asynccontextmanager
async def adding_up(engine: Database) -> AsyncIterator[Connection]:
    """A transaction that reads many rows to sum them."""
    async with translated(), engine.begin() as conn:
        await conn.execute(_ADDING_UP)
        yield conn
