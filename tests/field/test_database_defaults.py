"""Databases whose administrators chose other defaults: they work, or are refused in a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from conftest import make_store
from database import data_folder
from field.pgbouncer import PgBouncer
from field.postgres import PostgresServer
from runstore_migrations import schema
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.events import Event
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.opening import UnusableDatabase, connect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HARMLESS = {
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "search_path": "'pg_catalog'",
    "timezone": "'Asia/Kolkata'",
    "datestyle": "'SQL, DMY'",
    "intervalstyle": "'sql_standard'",
    "standard_conforming_strings": "off",
    "statement_timeout": "'1ms'",
    "lock_timeout": "'1ms'",
    "idle_in_transaction_session_timeout": "'1ms'",
    "idle_session_timeout": "'1ms'",
    "row_security": "on",
    "client_encoding": "'LATIN1'",
}


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with data_folder() as folder:
        server = PostgresServer(folder).create("--encoding=UTF8", "--locale=C").start()
        yield server
        server.stop()


@pytest.fixture(scope="module")
def migrated(postgres: PostgresServer) -> str:
    """A database to copy."""
    postgres.execute("CREATE DATABASE migrated")
    asyncio.run(schema.upgrade(postgres.url_of("migrated"), "runstore"))
    return "migrated"


@pytest.mark.parametrize("name", HARMLESS)
async def test_a_default_of_the_database_changes_nothing(
    postgres: PostgresServer, migrated: str, name: str
) -> None:
    database = f"default_{name}"
    postgres.execute(
        f"CREATE DATABASE {database} TEMPLATE {migrated}",
        f"ALTER DATABASE {database} SET {name} = {HARMLESS[name]}",
    )
    await schema.check(postgres.url_of(database), "runstore")
    store = make_store(postgres.url_of(database), "runstore")
    try:
        run = (await store.save_run(NewRun("acme", "run"))).run
        await store.append_events(run.key, [Event("said", payload=Payload('"\U0001f600"', ""))])

        page = await store.read_events(run.key, 1, limit=10)
    finally:
        await store.close()

    assert [each.event.payload for each in page.events] == [Payload('"\U0001f600"', "")]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_database_that_cannot_hold_every_text_is_refused(
    postgres: PostgresServer, encoding: str
) -> None:
    database = f"in_{encoding.lower()}"
    postgres.execute(
        f"CREATE DATABASE {database} TEMPLATE template0 ENCODING '{encoding}'"
        " LC_COLLATE 'C' LC_CTYPE 'C'"
    )

    with pytest.raises(StorageUnavailable) as refused:
        await schema.upgrade(postgres.url_of(database), "runstore")

    assert f"encoding of the database is {encoding}" in str(refused.value.__cause__)
    assert (
        postgres.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database=database
        )
        == "0"
    )


async def test_a_database_that_is_read_only_is_refused(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE frozen")
    postgres.execute("ALTER DATABASE frozen SET default_transaction_read_only = on")

    with pytest.raises(UnusableDatabase, match="takes no writes"):
        await connect(postgres.url_of("frozen"), schema="runstore", name="test")


async def test_a_pooler_that_drops_what_is_asked_for_is_refused_and_nothing_is_built(
    postgres: PostgresServer,
) -> None:
    postgres.execute("CREATE DATABASE pooled")
    with data_folder() as folder:
        folder.chmod(0o777)
        pooler = PgBouncer(
            folder / "pooler",
            postgres.port,
            {
                "ignore_startup_parameters": "search_path,synchronous_commit,jit,statement_timeout,"
                "lock_timeout,idle_in_transaction_session_timeout,idle_session_timeout,"
                "intervalstyle,default_transaction_isolation,default_transaction_deferrable,row_security"
            },
        )
        pooler.start()
        try:
            with pytest.raises(StorageUnavailable) as refused:
                await schema.upgrade(pooler.url_of("pooled"), "runstore")
        finally:
            pooler.stop()

    assert "let it pass start-up parameters on" in str(refused.value.__cause__)
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'runstore')"
    assert postgres.execute(tables, database="pooled") == "0"
