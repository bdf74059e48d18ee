"""Connections to Postgres, and what its failures mean.

Every connection is opened by asyncpg from one URL, so whatever asyncpg reads there (hosts, sockets,
TLS) works, and its search_path is the one schema the store lives in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from runstore_storage.errors import StorageUnavailable

STATEMENT_SECONDS = 30
LOCK_SECONDS = 10

# Connection failures, shutdowns, time-outs, too many clients, a standby: worth another try later.
_UNAVAILABLE_CLASSES = ("08", "57P", "53")
_UNAVAILABLE_STATES = frozenset({"57014", "55P03", "25006", "25P03"})
_ROLLED_BACK_STATES = frozenset({"40001", "40P01"})

# A plan made once for all values cannot know whether a filter selects much or nothing.
_PLANNED_ANEW = "set_config('plan_cache_mode', 'force_custom_plan', true)"
# What is looked up is mostly in memory, where one page costs what another does; and what an index
# can find is never looked for by reading a table in full, however small the planner takes it for.
_LOOKING_UP = text(
    f"SELECT {_PLANNED_ANEW}, set_config('random_page_cost', '1.1', true),"
    " set_config('enable_seqscan', 'off', true)"
)
_ADDING_UP = text(f"SELECT {_PLANNED_ANEW}, set_config('work_mem', '64MB', true)")
_FINISHED_LATE = text("SET LOCAL synchronous_commit = off")


async def connect(url: str, *, schema: str, name: str) -> asyncpg.Connection:
    """Open one connection with the settings the store's promises rest on."""
    return await asyncpg.connect(
        url,
        timeout=10,
        command_timeout=STATEMENT_SECONDS + 5,
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


def open_engine(url: str, *, schema: str, pool_size: int) -> AsyncEngine:
    """A pool of such connections; none is opened yet."""

    async def creator() -> asyncpg.Connection:
        return await connect(url, schema=schema, name="runstore")

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=creator,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=LOCK_SECONDS,
        hide_parameters=True,  # payloads do not belong in logs
    )


def quoted(identifier: str) -> str:
    """The identifier as SQL spells it."""
    return '"' + identifier.replace('"', '""') + '"'


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction, committed at the end; raise `StorageUnavailable` when Postgres is away."""
    async with _translated(), engine.begin() as conn:
        yield conn


async def finished_late(conn: AsyncConnection) -> None:
    """Commit this transaction without waiting for the disk; a crash of Postgres may undo it."""
    await conn.execute(_FINISHED_LATE)


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection whose statements each see what was committed when they began."""
    async with _translated(), engine.connect() as conn:
        yield await conn.execution_options(isolation_level="AUTOCOMMIT")


@asynccontextmanager
async def consistent(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction that reads, and sees throughout what was committed at its beginning."""
    async with _translated(), engine.connect() as conn:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        await conn.execution_options(**options)
        async with conn.begin():
            yield conn


@asynccontextmanager
async def looking_up(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that reads a few rows by any filter, by the index that fits the values best."""
    async with _translated(), engine.begin() as conn:
        await look_up(conn)
        yield conn


async def look_up(conn: AsyncConnection) -> None:
    """Have what this transaction reads planned as `looking_up` says."""
    await conn.execute(_LOOKING_UP)


@asynccontextmanager
async def adding_up(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that reads many rows to add them up."""
    async with _translated(), engine.begin() as conn:
        await conn.execute(_ADDING_UP)
        yield conn


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except Exception as error:
        if is_unavailable(error):
            raise StorageUnavailable from error
        raise


def is_unavailable(error: BaseException) -> bool:
    """True when Postgres could not be reached or gave up, and a later try may succeed."""
    if isinstance(error, OSError | TimeoutError | PoolTimeout | asyncpg.InterfaceError):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
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


def violated(error: IntegrityError) -> str:
    """The name of the constraint that an error broke."""
    cause = error.orig.__cause__ if error.orig else None
    return str(getattr(cause, "constraint_name", None) or "")
