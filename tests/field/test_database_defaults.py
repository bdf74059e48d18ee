"""Databases whose administrators chose other defaults: they work, or are refused in a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import make_store
from database import data_folder
from e2e.documents import blocks
from field.pgbouncer import PgBouncer
from field.postgres import PostgresServer
from runstore_migrations import schema
from runstore_server.cli.exits import ExitCode
from runstore_server.cli.main import app
from runstore_server.relay.relay import Relay
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.events import Event
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.statistics import StatisticsQuery
from runstore_storage.database.engine import reading
from runstore_storage.database.opening import UnusableDatabase, connect
from typer.testing import CliRunner

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"
SETTINGS = "SELECT current_setting('synchronous_commit'), current_schema()"
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
    "gin_fuzzy_search_limit": "1",
    "transaction_timeout": "'2s'",
    "track_activities": "off",
    "bytea_output": "'escape'",
    "extra_float_digits": "-15",
    "default_text_search_config": "'pg_catalog.german'",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "plan_cache_mode": "'force_generic_plan'",
    "lc_messages": "'C'",
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
    postgres: PostgresServer, migrated: str, name: str, caplog: pytest.LogCaptureFixture
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

        relay = Relay(store, poll_seconds=1)
        relay.start()
        async with asyncio.timeout(60):
            await relay.drain()
        await relay.stop()
        page = await store.read_events(run.key, 1, limit=10)
        fed = await store.feed.read_feed("acme", 1, limit=10)
        counted = await store.statistics.get_statistics("acme", StatisticsQuery(), limit=1)
    finally:
        await store.close()

    assert [each.event.payload for each in page.events] == [Payload('"\U0001f600"', "")]
    assert [each.recorded for each in fed.entries] == list(page.events)
    assert [row.events for row in counted.rows] == [1]
    assert not [each for each in caplog.records if each.exc_info]


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


async def test_a_transaction_may_last_longer_than_the_database_lets_one(
    postgres: PostgresServer,
) -> None:
    postgres.execute("CREATE DATABASE hasty")
    postgres.execute("ALTER DATABASE hasty SET transaction_timeout = '1s'")
    conn = await connect(postgres.url_of("hasty"), schema="runstore", name="test")

    await conn.execute("SELECT pg_sleep(1.5)")

    await conn.close()


async def test_a_database_whose_triggers_do_not_run_is_refused(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE unguarded")
    postgres.execute("ALTER DATABASE unguarded SET session_replication_role = replica")

    with pytest.raises(UnusableDatabase, match="session_replication_role = replica"):
        await connect(postgres.url_of("unguarded"), schema="runstore", name="test")


async def test_a_database_that_is_read_only_is_refused(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE frozen")
    postgres.execute("ALTER DATABASE frozen SET default_transaction_read_only = on")

    with pytest.raises(UnusableDatabase, match="takes no writes"):
        await connect(postgres.url_of("frozen"), schema="runstore", name="test")


@contextmanager
def pooling(postgres: PostgresServer, settings: Mapping[str, str]) -> Iterator[PgBouncer]:
    with data_folder() as folder:
        folder.chmod(0o777)
        pooler = PgBouncer(folder / "pooler", postgres.port, settings)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.stop()


def page_settings() -> dict[str, str]:
    """The settings of pgbouncer that docs/deploy.md has."""
    (shown,) = (text for language, text in blocks(PAGE) if language == "ini")
    return dict(line.split(" = ", 1) for line in shown.splitlines())


async def test_through_a_pooler_set_up_as_the_page_says_everything_works(
    postgres: PostgresServer,
) -> None:
    postgres.execute("CREATE DATABASE by_session")
    with pooling(postgres, page_settings()) as pooler:
        url = pooler.url_of("by_session")
        await schema.upgrade(url, "runstore")
        await schema.check(url, "runstore")
        writer, reader = make_store(url, "runstore"), make_store(url, "runstore", poll_interval=60)
        try:
            run = (await writer.save_run(NewRun("acme", "run"))).run
            async with reader.open_tail(run.key) as tail:
                mark = tail.mark
                await writer.append_events(run.key, [Event("said")])
                assert await tail.wait(mark, timeout=30)
            async with reading(writer._engine) as conn:
                rows = await conn.driver.fetch(SETTINGS)
        finally:
            await writer.close()
            await reader.close()

    assert [(row[0], row[1]) for row in rows] == [("on", "runstore")]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pool_mode": "transaction"}, "the pooler shares sessions between clients"),
        ({"ignore_startup_parameters": ""}, "unsupported startup parameter"),
    ],
    ids=["by transaction", "without ignoring parameters"],
)
def test_another_pooler_is_refused_in_a_sentence_and_nothing_is_built(
    postgres: PostgresServer, changed: Mapping[str, str], said: str
) -> None:
    database = f"pooled_{len(said)}"
    postgres.execute(f"CREATE DATABASE {database}")
    with pooling(postgres, page_settings() | changed) as pooler:
        environment = {"RUNSTORE_DATABASE_URL": pooler.url_of(database)}
        done = CliRunner().invoke(app, ("migrate", "up"), env=environment)

    assert done.exit_code == ExitCode.FAILED
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert "docs/deploy.md" in done.stderr
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname IN ('public', 'runstore')"
    assert postgres.execute(tables, database=database) == "0"
