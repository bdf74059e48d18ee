"""Where the tests find a Postgres, their schemas in it, and whether they returned connections.

A Postgres is one that is given, one in Docker, or the embedded one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import row_policies
from runstore_migrations import schema
from runstore_storage.database import rights
from runstore_storage.database.connection import Connection
from runstore_storage.database.engine import Database
from runstore_storage.database.opening import connect, quoted
from runstore_storage.embedded.postgres import EmbeddedPostgres
from runstore_storage.sql import partitions

POSTGRES_IMAGE = "postgres:17-alpine"


AS_SERVICE = bool(os.environ.get("TEST_AS_SERVICE"))
"""Whether stores have a role with the service's rights and no others, as `make service` sets, and
only see the rows of the project that each statement may touch (`row_policies.py`).
"""
SERVICE_ROLE = os.environ.get("TEST_SERVICE_ROLE") or f"runstore_service_{os.getpid()}"
"""Each process of tests makes its own; one that it starts is told of it."""


@contextmanager
def provided_database() -> Iterator[str]:
    """Yield the URL of a database, without a driver, that serves as long as the context."""
    with _found_database() as url:
        if not AS_SERVICE:
            yield url
            return
        asyncio.run(_execute(url, f"CREATE ROLE {SERVICE_ROLE}"))
        yield url
        # Only schemas that tests left behind make this fail.
        asyncio.run(_execute(url, f"DROP ROLE {SERVICE_ROLE}"))


def served_url(database_url: str) -> str:
    """The URL that a store of the tests connects to."""
    return url_as(database_url, SERVICE_ROLE) if AS_SERVICE else database_url


def url_as(database_url: str, role: str) -> str:
    """The URL of the same database, for connections that have another role from their start."""
    return f"{database_url}{'&' if '?' in database_url else '?'}role={role}"


async def _execute(database_url: str, statement: str) -> None:
    conn = await connect(database_url, schema="public", name="test")
    await conn.execute(statement)
    await conn.close()


@contextmanager
def _found_database() -> Iterator[str]:
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
    elif docker_answers():
        with container() as url:
            yield url
    else:
        with data_folder() as folder, EmbeddedPostgres(folder, is_disposable=True) as postgres:
            yield postgres.url


def docker_answers() -> bool:
    """Tell whether there is a Docker engine that can start a container."""
    program = shutil.which("docker")
    if program is None:
        return False
    try:
        asked = subprocess.run([program, "info"], capture_output=True, check=False, timeout=30)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


@contextmanager
def container() -> Iterator[str]:
    """Yield the URL of a Postgres in a container."""
    from testcontainers.postgres import PostgresContainer  # noqa: PLC0415 needs a Docker engine

    with PostgresContainer(POSTGRES_IMAGE, driver=None) as postgres:
        yield postgres.get_connection_url()


@contextmanager
def data_folder() -> Iterator[Path]:
    """Yield a new folder that a server's own account may reach, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="runstore-test-"))
    try:
        # The cluster in it is closed to others by itself.
        folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def make_schema(database_url: str, name: str) -> None:
    """Make a schema at its head in one transaction, much faster than the migrations do.

    That both come to the same is shown by the tests of the migrations.
    """
    conn = await connect(database_url, schema=name, name="test")
    await conn.execute(f"CREATE SCHEMA {quoted(name)}")
    await conn.execute(schema.SCHEMA_SQL.read_text().replace(" CONCURRENTLY", ""))
    async with conn.transaction():
        await partitions.make_room(Connection(conn), schema.ROOM)
    await let_service_in(conn, name)
    await conn.close()


async def let_service_in(conn: asyncpg.Connection, name: str) -> None:
    """Where stores serve as the service's role, give it its rights on a schema, and no others."""
    if AS_SERVICE:
        await rights.give(conn, name, SERVICE_ROLE)
        await row_policies.add(conn)


async def drop_schema(database_url: str, name: str) -> None:
    conn = await connect(database_url, schema=name, name="test")
    await conn.execute(f"DROP SCHEMA {quoted(name)} CASCADE")
    await conn.close()


async def ask(
    environment: Mapping[str, str], sql: str, *values: object
) -> list[tuple[object, ...]]:
    """The rows that a statement gets from the database that a server's environment names."""
    conn = await connect(
        environment["RUNSTORE_DATABASE_URL"], schema=environment["RUNSTORE_DB_SCHEMA"], name="test"
    )
    try:
        return [tuple(row) for row in await conn.fetch(sql, *values)]
    finally:
        await conn.close()


async def all_returned(database: Database, within: float = 60) -> bool:
    """Tell whether every connection is returned to the pool.

    Polls use one for a moment only, so the pool is whole now and then unless one is kept.
    """
    try:
        async with asyncio.timeout(within):
            while database.in_use:  # noqa: ASYNC110 - the pool has no event for a return
                await asyncio.sleep(0)
    except TimeoutError:
        return False
    return True
