"""The schema's versions: migrate the database up or down, and tell its version.

Every function opens its own connections and may run in several processes at once: under a lock on
the schema one of them migrates, while the others wait and then find nothing to do.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from runstore_storage.database import rights
from runstore_storage.database.connection import Connection as Driven
from runstore_storage.database.failures import translated
from runstore_storage.database.opening import connect, losses_of, quoted
from runstore_storage.sql import feed, partitions, store_flags
from runstore_storage.writing.room import RUNS_AHEAD, lacking_room
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

VERSION_TABLE = "schema_version"
SCHEMA_SQL = Path(__file__).with_name("schema.sql")
RETRY_SECONDS = 0.2
ROOM = partitions.RUNS_PER_PARTITION

_TRY_LOCK = text(
    "SELECT pg_try_advisory_lock(hashtextextended('runstore migrations ' || :schema, 0))"
)
_EXISTS = text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended('runstore migrations ' || :schema, 0))")


class SchemaMismatch(Exception):
    """The database's schema is not the one this code was written for."""

    def __init__(self, current: str | None, wanted: str) -> None:
        self.current = current
        self.wanted = wanted
        known = current is None or current in versions()
        remedy = (
            "run `runstore migrate up`"
            if known
            else "it is newer than this release: start the newer release, or go back with its"
            f" `runstore migrate down {wanted}`"
        )
        super().__init__(
            f"the database is at schema version {current or 'none'}, this release needs"
            f" {wanted}; {remedy}"
        )


class RestoredInPart(Exception):
    """Rows of a dump were restored without those of every table."""

    def __init__(self, relay: int, last_position: int) -> None:
        super().__init__(
            f"the feed ends at position {last_position}, and what publishes it is at {relay}: a"
            " dump was restored in part; docs/backup.md says how to restore all of it"
        )


class RoomEnds(Exception):
    """Saving will fail soon, for want of a partition that the role may not make."""


class CannotGoDown(Exception):
    """The version before would lose, or not keep to, what is recorded; the message says what."""


def head() -> str:
    """The version this code was written for."""
    return versions()[-1]


def versions() -> list[str]:
    """Every version this code knows, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in scripts.walk_revisions()][::-1]


async def current(url: str, schema: str) -> str | None:
    """The database's version, None if runstore was never set up there."""
    async with translated(), open_engine(url, schema) as engine, _autocommit(engine) as conn:
        return await conn.run_sync(_current)


async def check(url: str, schema: str) -> None:
    """Return if the database is at `head()` and the role may serve from it.

    Raise `SchemaMismatch`, `MissingRights` or `RestoredInPart` otherwise.
    """
    async with _connected(url, schema) as conn:
        await rights.may_serve(conn, schema)
        found = await current(url, schema)
        if found != head():
            raise SchemaMismatch(found, head())
        relay, last_position = await feed.ends(Driven(conn))
    if relay < last_position:
        raise RestoredInPart(relay, last_position)


async def check_room(url: str, schema: str) -> None:
    """Raise `RoomEnds` if few runs can be saved before a role that may not do it makes a partition.

    The database is at `head()`.
    """
    async with _connected(url, schema) as conn:
        driven = Driven(conn)
        room = await partitions.room(driven)
        if room < RUNS_AHEAD and not await partitions.may_make(driven):
            raise RoomEnds(lacking_room(room))


async def upgrade(url: str, schema: str, version: str = "head", *, room: int = ROOM) -> None:
    """Migrate the database up to a version, and create the schema if it is missing.

    At the head, partitions are made until `room` more runs can be saved.
    """
    await _migrate(url, schema, lambda config: command.upgrade(config, version))
    if version == "head":
        async with _connected(url, schema) as conn, conn.transaction():
            await partitions.make_room(Driven(conn), room)


async def give_rights(url: str, schema: str, role: str) -> None:
    """Give the service's role the rights it needs in a schema at `head()`, and no others.

    Raise `NoRole`, `OwnsAlready` or `MissingRights` where that cannot be.
    """
    async with _connected(url, schema) as conn:
        await rights.give(conn, schema, role)


async def seal(url: str, schema: str) -> bool:
    """Have servers salt what they hash from now on; False where they do already.

    The schema is at `head()`, and no server of an earlier release serves from it.
    """
    async with _connected(url, schema) as conn:
        return await store_flags.seal(Driven(conn))


async def downgrade(url: str, schema: str, version: str) -> None:
    """Migrate the database down to a version; "base" leaves nothing.

    Raise `CannotGoDown` where a version on the way refuses to go.
    """
    try:
        await _migrate(url, schema, lambda config: command.downgrade(config, version))
    except DBAPIError as error:
        refusal = error.orig and error.orig.__cause__
        if isinstance(refusal, asyncpg.RaiseError):
            raise CannotGoDown(str(refusal)) from error
        raise


def schema_sql() -> str:
    """The SQL that migrates an empty schema to the head."""
    out = io.StringIO()
    config = _config(output_buffer=out)
    command.upgrade(config, "head", sql=True)
    return out.getvalue()


async def _migrate(url: str, schema: str, run: Callable[[Config], None]) -> None:
    def migrate(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        run(config)

    async with _connected(url, schema) as driver:
        await rights.may_migrate(driver, schema)
    async with (
        open_engine(url, schema) as engine,
        _migration_lock(engine, schema),
        engine.connect() as conn,
    ):
        # IF NOT EXISTS takes the right to create one even where it exists.
        if not (await conn.execute(_EXISTS, {"schema": schema})).scalar_one():
            await conn.execute(text(f"CREATE SCHEMA {quoted(schema)}"))
        await conn.commit()
        await conn.run_sync(migrate)


@asynccontextmanager
async def _migration_lock(engine: AsyncEngine, schema: str) -> AsyncIterator[None]:
    """Hold the schema's migration lock.

    The lock is polled: a statement that waits for it would hold up the concurrent index builds of
    the process that has it.
    """
    async with translated(), _autocommit(engine) as conn:
        while not (await conn.execute(_TRY_LOCK, {"schema": schema})).scalar_one():  # noqa: ASYNC110 - the other side is a database
            await asyncio.sleep(RETRY_SECONDS)
        try:
            yield
        finally:
            await conn.execute(_UNLOCK, {"schema": schema})


@asynccontextmanager
async def _connected(url: str, schema: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that the driver itself uses."""
    async with translated():
        conn = await connect(url, schema=schema, name="runstore migrations")
        try:
            with losses_of(conn):
                yield conn
        finally:
            await conn.close()


@asynccontextmanager
async def open_engine(url: str, schema: str) -> AsyncIterator[AsyncEngine]:
    """The SQLAlchemy engine that Alembic needs, over connections opened as the store opens them."""

    async def opened() -> asyncpg.Connection:
        return await connect(url, schema=schema, name="runstore migrations")

    engine = create_async_engine("postgresql+asyncpg://", async_creator=opened, pool_size=2)
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def _autocommit(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection whose statements are transactions of their own."""
    async with engine.connect() as conn:
        yield await conn.execution_options(isolation_level="AUTOCOMMIT")


def _current(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _config(output_buffer: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output_buffer or io.StringIO())
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
