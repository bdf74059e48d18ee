"""Connections to Postgres, and what its failures mean.

asyncpg opens every connection from one URL, so all that it understands there (hosts, sockets, TLS)
works. The search_path of a connection is the one schema that the store lives in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import asyncpg
from sqlalchemy.exc import DBAPIError

from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import statement

STATEMENT_SECONDS = 30
LOCK_SECONDS = 10
CLOSE_SECONDS = 1
# How many statements a connection keeps prepared; the store has about two hundred.
PREPARED_STATEMENTS = 256

IsolationLevel = Literal["read_committed", "repeatable_read"]

# Connection failures, shutdowns, time-outs, too many clients, a standby: a later try may succeed.
_UNAVAILABLE_CLASSES = ("08", "57P", "53")
_UNAVAILABLE_STATES = frozenset({"57014", "55P03", "25006", "25P03"})
_ROLLED_BACK_STATES = frozenset({"40001", "40P01"})

# A generic plan does not know whether a filter selects much or nothing.
_CUSTOM_PLANS = "set_config('plan_cache_mode', 'force_custom_plan', true)"
# Pages that a look-up reads are mostly in memory, where any page costs the same. And what an index
# can find is never searched for in a whole table, even where the planner believes it to be small.
_LOOKING_UP = statement(
    f"SELECT {_CUSTOM_PLANS}, set_config('random_page_cost', '1.1', true),"
    " set_config('enable_seqscan', 'off', true)"
)
_ADDING_UP = statement(f"SELECT {_CUSTOM_PLANS}, set_config('work_mem', '64MB', true)")
_FLUSH_LATER = statement("SET LOCAL synchronous_commit = off")


async def connect(url: str, *, schema: str, name: str) -> asyncpg.Connection:
    """Open one connection with the settings that the store's promises depend on."""
    return await asyncpg.connect(
        url,
        timeout=10,
        command_timeout=STATEMENT_SECONDS + 5,
        statement_cache_size=PREPARED_STATEMENTS,
        server_settings={
            "application_name": name,
            "search_path": quoted(schema),
            "timezone": "UTC",
            "synchronous_commit": "on",
            "jit": "off",
            "statement_timeout": f"{STATEMENT_SECONDS}s",
            "lock_timeout": f"{LOCK_SECONDS}s",
            "idle_in_transaction_session_timeout": f"{STATEMENT_SECONDS}s",
        },
    )


class Database:
    """A pool of such connections; each is opened when it is first needed."""

    def __init__(self, url: str, *, schema: str, pool_size: int) -> None:
        async def opened(*_: object, **__: object) -> asyncpg.Connection:
            return await connect(url, schema=schema, name="runstore")

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
        async with self._pool.acquire(timeout=LOCK_SECONDS) as driver:
            yield Connection(driver)

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
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


async def _leave(_: asyncpg.Connection) -> None:
    """Reset nothing when a connection is returned: settings are set for one transaction only."""


def quoted(identifier: str) -> str:
    """The identifier as it is written in SQL."""
    return '"' + identifier.replace('"', '""') + '"'


@asynccontextmanager
async def writing(engine: Database) -> AsyncIterator[Connection]:
    """One transaction, committed at the end; raise `StorageUnavailable` if it cannot be."""
    async with translated(), engine.begin() as conn:
        yield conn


async def flush_later(conn: Connection) -> None:
    """Commit this transaction without waiting for the disk; a crash of Postgres may undo it."""
    await conn.execute(_FLUSH_LATER)


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


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raise `StorageUnavailable` for errors which say that Postgres is unavailable."""
    try:
        yield
    except Exception as error:
        if is_unavailable(error):
            raise StorageUnavailable from error
        raise


def is_unavailable(error: BaseException) -> bool:
    """True when Postgres could not be reached or gave up, and a later try may succeed."""
    # The driver raises the last two where the backend closed a connection and it has yet to notice.
    lost = OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError
    if isinstance(error, lost):
        return True
    state = sqlstate(error)
    return state in _UNAVAILABLE_STATES or state.startswith(_UNAVAILABLE_CLASSES)


def is_rolled_back(error: BaseException) -> bool:
    """True when Postgres rolled the transaction back in favour of another; a retry may succeed."""
    return sqlstate(error) in _ROLLED_BACK_STATES


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a database error, empty for anything else."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlstate", None) or "")


def violated(error: asyncpg.IntegrityConstraintViolationError) -> str:
    """The name of the constraint that was violated."""
    return str(error.constraint_name or "")
