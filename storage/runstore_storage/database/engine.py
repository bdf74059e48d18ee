"""Connections to Postgres, and what its failures mean.

Every connection is opened by asyncpg from one URL, so whatever asyncpg reads there (hosts, sockets,
TLS) works, and its search_path is the one schema the store lives in.
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
# Statements that a connection keeps planned; the store has about two hundred.
KEPT_STATEMENTS = 256

IsolationLevel = Literal["read_committed", "repeatable_read"]

# Connection failures, shutdowns, time-outs, too many clients, a standby: worth another try later.
_UNAVAILABLE_CLASSES = ("08", "57P", "53")
_UNAVAILABLE_STATES = frozenset({"57014", "55P03", "25006", "25P03"})
_ROLLED_BACK_STATES = frozenset({"40001", "40P01"})

# A plan made once for all values cannot know whether a filter selects much or nothing.
_PLANNED_ANEW = "set_config('plan_cache_mode', 'force_custom_plan', true)"
# What is looked up is mostly in memory, where one page costs what another does; and what an index
# can find is never looked for by reading a table in full, however small the planner takes it for.
_LOOKING_UP = statement(
    f"SELECT {_PLANNED_ANEW}, set_config('random_page_cost', '1.1', true),"
    " set_config('enable_seqscan', 'off', true)"
)
_ADDING_UP = statement(f"SELECT {_PLANNED_ANEW}, set_config('work_mem', '64MB', true)")
_FINISHED_LATE = statement("SET LOCAL synchronous_commit = off")


async def connect(url: str, *, schema: str, name: str) -> asyncpg.Connection:
    """Open one connection with the settings the store's promises rest on."""
    return await asyncpg.connect(
        url,
        timeout=10,
        command_timeout=STATEMENT_SECONDS + 5,
        statement_cache_size=KEPT_STATEMENTS,
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
    """A pool of such connections; none is opened before it is needed."""

    def __init__(self, url: str, *, schema: str, pool_size: int) -> None:
        async def opened(*_: object, **__: object) -> asyncpg.Connection:
            return await connect(url, schema=schema, name="runstore")

        self._pool = asyncpg.create_pool(
            connect=opened, reset=_as_it_is, min_size=0, max_size=pool_size
        )

    @property
    def lent(self) -> int:
        """How many connections somebody has."""
        return self._pool.get_size() - self._pool.get_idle_size()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """A connection whose statements are transactions of their own."""
        await self._pool  # opened by the first that comes; that opens no connection yet
        async with self._pool.acquire(timeout=LOCK_SECONDS) as driver:
            yield Connection(driver)

    @asynccontextmanager
    async def begin(
        self, *, isolation: IsolationLevel = "read_committed", readonly: bool = False
    ) -> AsyncIterator[Connection]:
        """One transaction, committed at the end, undone when it fails."""
        async with (
            self.connect() as conn,
            conn.driver.transaction(isolation=isolation, readonly=readonly),
        ):
            yield conn

    async def dispose(self) -> None:
        """Close every connection; those that somebody still has a second later are cut."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


async def _as_it_is(_: asyncpg.Connection) -> None:
    """Lend a connection on as it is: whatever is set on one is set for a transaction."""


def quoted(identifier: str) -> str:
    """The identifier as SQL spells it."""
    return '"' + identifier.replace('"', '""') + '"'


@asynccontextmanager
async def writing(engine: Database) -> AsyncIterator[Connection]:
    """One transaction, committed at the end; raise `StorageUnavailable` when Postgres is away."""
    async with translated(), engine.begin() as conn:
        yield conn


async def finished_late(conn: Connection) -> None:
    """Commit this transaction without waiting for the disk; a crash of Postgres may undo it."""
    await conn.execute(_FINISHED_LATE)


@asynccontextmanager
async def reading(engine: Database) -> AsyncIterator[Connection]:
    """A connection whose statements each see what was committed when they began."""
    async with translated(), engine.connect() as conn:
        yield conn


@asynccontextmanager
async def consistent(engine: Database) -> AsyncIterator[Connection]:
    """One transaction that reads, and sees throughout what was committed at its beginning."""
    async with translated(), engine.begin(isolation="repeatable_read", readonly=True) as conn:
        yield conn


@asynccontextmanager
async def looking_up(engine: Database) -> AsyncIterator[Connection]:
    """A transaction that reads a few rows by any filter, by the index that fits the values best."""
    async with translated(), engine.begin() as conn:
        await look_up(conn)
        yield conn


async def look_up(conn: Connection) -> None:
    """Have what this transaction reads planned as `looking_up` says."""
    await conn.execute(_LOOKING_UP)


@asynccontextmanager
async def adding_up(engine: Database) -> AsyncIterator[Connection]:
    """A transaction that reads many rows to add them up."""
    async with translated(), engine.begin() as conn:
        await conn.execute(_ADDING_UP)
        yield conn


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raise `StorageUnavailable` for what says that Postgres is away."""
    try:
        yield
    except Exception as error:
        if is_unavailable(error):
            raise StorageUnavailable from error
        raise


def is_unavailable(error: BaseException) -> bool:
    """True when Postgres could not be reached or gave up, and a later try may succeed."""
    # The driver's own complaint is that a backend said farewell and its connection is yet to close.
    lost = OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError
    if isinstance(error, lost):
        return True
    state = sqlstate(error)
    return state in _UNAVAILABLE_STATES or state.startswith(_UNAVAILABLE_CLASSES)


def is_rolled_back(error: BaseException) -> bool:
    """True when Postgres undid the transaction to let another pass; the same again may succeed."""
    return sqlstate(error) in _ROLLED_BACK_STATES


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a database error, empty for anything else."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlstate", None) or "")


def violated(error: asyncpg.IntegrityConstraintViolationError) -> str:
    """The name of the constraint that an error broke."""
    return str(error.constraint_name or "")
