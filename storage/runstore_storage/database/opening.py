"""Opening a connection, and making sure that it is what was asked for before it is used.

What the store promises depends on settings of its sessions. A pooler may drop what a connection
asks for when it is opened, and an administrator may set other defaults; so the settings are read
back, and a database that does not give them is refused in a sentence that says what to change.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, TypeAlias

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

from runstore_storage.database.hosts import first_opened

STATEMENT_SECONDS = 30
LOCK_SECONDS = 10
CONNECT_SECONDS = 10
# How many statements a connection keeps prepared; the store has about two hundred.
PREPARED_STATEMENTS = 256

_ASKED: Mapping[str, str] = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    # A policy that hides rows makes a statement fail instead of leaving rows out of the answer.
    "row_security": "off",
    "standard_conforming_strings": "on",
    "jit": "off",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{STATEMENT_SECONDS}s",
    "idle_session_timeout": "0",
    # Where it is set, an index that filters use returns some of what it finds.
    "gin_fuzzy_search_limit": "0",
}
_UTF8 = "UTF8"
# What a session cannot ask for by every role or of every version, and has to have.
_HAD: Mapping[str, str] = {
    "client_encoding": _UTF8,
    # Otherwise triggers, which guard what is recorded, do not run.
    "session_replication_role": "origin",
    "transaction_timeout": "0",
}
_POOLING = (
    "docs/deploy.md has the settings for pooling by session, which is what works; or connect to"
    " Postgres directly"
)
SHARED = f"the pooler shares sessions between clients; {_POOLING}"
READ_ONLY = (
    "the database takes no writes: it is a standby, or default_transaction_read_only is on; point"
    " RUNSTORE_DATABASE_URL to the primary"
)
# One statement, without parameters: it needs no prepared statement, so it works through any pooler.
# Before version 17 Postgres refuses a connection that asks for a transaction_timeout.
_READ_BACK = (
    "SELECT name, given FROM ("
    "SELECT unnest(string_to_array('{names}', ',')) AS name) AS asked,"
    " LATERAL current_setting(name) AS given"
    " UNION ALL SELECT 'encoding', getdatabaseencoding()"
    " UNION ALL SELECT 'recovery', pg_is_in_recovery()::text"
    " UNION ALL SELECT 'backend', pg_backend_pid()::text"
    " UNION ALL SELECT 'transaction_timeout', CASE"
    " WHEN current_setting('transaction_timeout', true) IS NULL THEN '0'"
    " ELSE set_config('transaction_timeout', '0', false) END"
)

Driver: TypeAlias = "asyncpg.Connection | PoolConnectionProxy[asyncpg.Record]"


# The kernel gives a path up on which nothing comes back for about this long.
_KEEPALIVE = {
    "TCP_KEEPIDLE": 4,
    "TCP_KEEPALIVE": 4,  # its name on macOS
    "TCP_KEEPINTVL": 2,
    "TCP_KEEPCNT": 2,
    "TCP_USER_TIMEOUT": 8000,
}


# Types below this number are Postgres's own and have it in every database.
_FIRST_OF_A_DATABASE = 16384


class _Introspection(NamedTuple):
    """What the driver takes for the statement that it introspects types with; a named one, as an
    unnamed one would have ended the statement that the types are for.
    """

    name: str


class Session(asyncpg.Connection):
    """A connection that knows its server process, which a pooler hides from the driver.

    Postgres's own types are introspected by the first connection of the process only: it takes
    longer than several writes, and the driver would do it anew on each connection, several times.
    """

    __slots__ = ("backend",)
    backend: int
    _transport: asyncio.BaseTransport
    _types: ClassVar[dict[int, asyncpg.Record]] = {}

    async def _introspect_types(
        self,
        typeoids: Collection[int],
        timeout: float,  # noqa: ASYNC109 - the driver's
    ) -> tuple[Sequence[asyncpg.Record], Any]:
        """What the driver asks for: the types with those that they are made of, these first."""
        types = self._types
        if types.keys() >= set(typeoids):
            return list(types.values()), _Introspection("types")
        found, statement = await super()._introspect_types(  # type: ignore[misc]  # not in stubs
            typeoids, timeout
        )
        types |= {row["oid"]: row for row in found if row["oid"] < _FIRST_OF_A_DATABASE}
        return found, statement

    def keep_alive(self) -> None:
        """Have the kernel break it soon after the other end is gone without a word."""
        given = self._transport.get_extra_info("socket")
        if given.family == socket.AF_UNIX:
            return
        # Of a duplicate, since uvloop's sockets take no options.
        with socket.socket(fileno=os.dup(given.fileno())) as its_socket:
            its_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE.items():
                if option := getattr(socket, name, None):
                    its_socket.setsockopt(socket.IPPROTO_TCP, option, value)


class UnusableDatabase(Exception):
    """The database is not what the store needs; the message says what to change."""


class ConnectionLost(Exception):
    """The connection that was used is closed."""


async def connect(url: str, *, schema: str, name: str) -> Session:
    """Open one connection with the settings that the store's promises depend on.

    Of several hosts, the one that takes writes is chosen, whatever the URL says. Where a pooler
    keeps the settings back, they are set. Raise `UnusableDatabase` where a setting is not given,
    the encoding is not UTF-8, no writes are taken, or sessions are shared.
    """
    asked = {**_ASKED, "search_path": quoted(schema)}
    conn = await _opened(url, {**asked, "application_name": name})
    try:
        conn.keep_alive()
        given = await _settings(conn, asked)
        conn.backend = int(given["backend"])
        _refuse_unfit(given)
        if conn.backend != conn.get_server_pid():
            given = await _through_a_pooler(conn, url, asked)
        _refuse_unless(asked, given)
    except BaseException:
        conn.terminate()
        raise
    return conn


async def _opened(url: str, asked: Mapping[str, str]) -> Session:
    """Open a session of the first host that takes writes."""

    async def opened(host: str) -> Session:
        return await _opened_at(host, asked)

    try:
        return await first_opened(url, opened, unfit=UnusableDatabase)
    except ValueError as error:
        raise UnusableDatabase(f"the URL of the database cannot be used: {error}") from error


async def _opened_at(url: str, asked: Mapping[str, str]) -> Session:
    try:
        return await asyncpg.connect(
            url,
            connection_class=Session,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS + 5,
            statement_cache_size=PREPARED_STATEMENTS,
            target_session_attrs=SessionAttribute.read_write,
            server_settings=dict(asked),
        )
    except asyncpg.TargetServerAttributeNotMatched as error:
        raise UnusableDatabase(READ_ONLY) from error
    except asyncpg.ProtocolViolationError as error:  # which Postgres does not answer here
        raise UnusableDatabase(f"a pooler before the database says: {error}; {_POOLING}") from error
    except asyncpg.InternalClientError as error:  # it was closed while it was being opened
        raise ConnectionLost(str(error)) from error
    except (asyncpg.InterfaceError, ValueError) as error:
        raise UnusableDatabase(f"the URL of the database cannot be used: {error}") from error


async def _settings(conn: asyncpg.Connection, asked: Mapping[str, str]) -> Mapping[str, str]:
    had = ["client_encoding", "session_replication_role", "default_transaction_read_only"]
    names = ",".join([*asked, *had])
    with losses_of(conn):
        rows = await conn.fetch(_READ_BACK.format(names=names))
    return {row["name"]: row["given"] for row in rows}


async def _through_a_pooler(conn: Session, url: str, asked: Mapping[str, str]) -> Mapping[str, str]:
    """Set what a pooler kept back, and return the settings; raise where it shares sessions.

    Two sessions that are open at a time have one server process only where a pooler gives them one
    for each transaction: settings, LISTEN and locks of a session would be another's.
    """
    other = await _opened(url, asked)
    try:
        if int((await _settings(other, asked))["backend"]) == conn.backend:
            raise UnusableDatabase(SHARED)
    finally:
        other.terminate()
    with losses_of(conn):
        for name, value in asked.items():
            await conn.execute("SELECT set_config($1, $2, false)", name, value)
    given = await _settings(conn, asked)
    if int(given["backend"]) != conn.backend:
        raise UnusableDatabase(SHARED)
    return given


def _refuse_unfit(given: Mapping[str, str]) -> None:
    if given["encoding"] != _UTF8:
        raise UnusableDatabase(
            f"the encoding of the database is {given['encoding']}, which cannot hold every text:"
            f" create one with ENCODING '{_UTF8}'"
        )
    if given["recovery"] == "true" or given["default_transaction_read_only"] == "on":
        raise UnusableDatabase(READ_ONLY)


def _refuse_unless(asked: Mapping[str, str], given: Mapping[str, str]) -> None:
    for name, wanted in {**asked, **_HAD}.items():
        if given[name] != wanted:
            raise UnusableDatabase(
                f"a connection has {name} = {given[name]} where {wanted} was asked for: if there is"
                f" a pooler before the database, {_POOLING}"
            )


def is_read_only(driver: Driver, error: Exception | None = None) -> bool:
    """True if the server has said on this connection that it takes no writes any more.

    Postgres says so with its answer to the first statement after it became read-only or a standby.
    """
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return True
    if is_closed(driver):
        return False
    said = driver.get_settings()
    return "on" in (
        getattr(said, "in_hot_standby", "off"),
        getattr(said, "default_transaction_read_only", "off"),
    )


@contextmanager
def losses_of(driver: Driver) -> Iterator[None]:
    """Raise `ConnectionLost` for what the driver raises where the connection is closed.

    The driver's own errors do not tell that from a wrong use of it, which is a defect.
    """
    try:
        yield
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        if is_closed(driver):
            raise ConnectionLost(str(error)) from error
        raise


def is_closed(driver: Driver) -> bool:
    """True if the connection, which its user has not given back, can no longer be used."""
    try:
        return driver.is_closed()
    except asyncpg.InterfaceError:  # the driver took it back when the server closed it
        return True


def quoted(identifier: str) -> str:
    """The identifier as it is written in SQL."""
    return '"' + identifier.replace('"', '""') + '"'
