"""Every version goes up and down and keeps data; head is what the tables say."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from conftest import make_store
from migrated import BEFORE_SALTS, WITH_SALTS, unsealed
from runstore_migrations import schema
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.opening import connect
from runstore_storage.sql.tables import metadata
from sqlalchemy import Connection


@pytest.fixture
async def empty(database_url: str) -> AsyncIterator[str]:
    """A schema name nothing lives under yet."""
    name = f"runstore_migration_{uuid4().hex[:8]}"
    yield name
    conn = await connect(database_url, schema=name, name="test")
    await conn.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    await conn.close()


async def objects(database_url: str, name: str) -> set[tuple[str, str]]:
    """Everything in the schema but what the version table is."""
    conn = await connect(database_url, schema=name, name="test")
    try:
        rows = await conn.fetch(
            "SELECT relkind::text, relname FROM pg_class WHERE relnamespace = to_regnamespace($1)"
            " AND relkind IN ('r', 'p', 'i', 'I', 'S')"
            " UNION ALL SELECT 'f', proname FROM pg_proc WHERE pronamespace = to_regnamespace($1)",
            name,
        )
    finally:
        await conn.close()
    return {(row[0], row[1]) for row in rows if not row[1].startswith("schema_version")}


async def test_each_version_undoes_what_it_did(database_url: str, empty: str) -> None:
    seen = [set()]
    for version in schema.versions():
        await schema.upgrade(database_url, empty, version)
        seen.append(await objects(database_url, empty))
    for version, before in zip(
        reversed(["base", *schema.versions()[:-1]]), reversed(seen[:-1]), strict=True
    ):
        await schema.downgrade(database_url, empty, version)
        assert await objects(database_url, empty) == before, version


async def test_runs_and_events_survive_the_way_down_and_up(database_url: str, empty: str) -> None:
    await unsealed(database_url, empty)
    store = make_store(database_url, empty, salted=False)
    key = (await store.save_run(NewRun("p", "run"))).run.key
    await store.append_events(key, [Event("a"), Event("b")])
    await store.close()

    await schema.downgrade(database_url, empty, schema.versions()[0])
    await schema.upgrade(database_url, empty)

    store = make_store(database_url, empty)
    try:
        await store.append_events(key, [Event("c")])
        found = await store.verify_run(RunKey("p", "run"), from_seq=1, max_events=0)
        await store.complete_run(key, Completion(Outcome.SUCCEEDED))
    finally:
        await store.close()
    assert (found.problem, found.checked_events) == ("", 3)


@pytest.mark.parametrize("table", ["events", "runs"])
async def test_what_later_versions_alone_can_verify_is_not_lost_on_the_way_down(
    database_url: str, empty: str, table: str
) -> None:
    await schema.upgrade(database_url, empty)
    store = make_store(database_url, empty)
    key = (await store.save_run(NewRun("p", "run"))).run.key
    if table == "events":
        await store.append_events(key, [Event("a")])
    await store.close()

    with pytest.raises(schema.CannotGoDown, match=f"{table} has salts"):
        await schema.downgrade(database_url, empty, BEFORE_SALTS)

    assert await schema.current(database_url, empty) == WITH_SALTS


async def test_subjects_are_not_lost_on_the_way_down(database_url: str, empty: str) -> None:
    await unsealed(database_url, empty)
    store = make_store(database_url, empty, salted=False)
    await store.save_run(NewRun("p", "run", subjects=("ann",)))
    await store.close()

    with pytest.raises(schema.CannotGoDown, match="runs has subjects"):
        await schema.downgrade(database_url, empty, BEFORE_SALTS)

    assert await schema.current(database_url, empty) == WITH_SALTS


async def test_head_is_what_the_tables_say(database_url: str, db_schema: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": schema.VERSION_TABLE,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: (
                    kind != "table" or not str(name).startswith("events_")
                ),
            },
        )
        return list(compare_metadata(context, metadata))

    async with schema.open_engine(database_url, db_schema) as engine, engine.connect() as conn:
        assert await conn.run_sync(differences) == []
        assert await conn.run_sync(_constraints) == {
            str(constraint.name)
            for table in metadata.tables.values()
            for constraint in table.constraints
        }


def _constraints(connection: Connection) -> set[str]:
    rows = connection.exec_driver_sql(
        "SELECT conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
        " WHERE c.connamespace = current_schema()::regnamespace AND NOT t.relispartition"
        " AND contype IN ('p', 'u', 'f', 'c') AND relname <> 'schema_version'"
    )
    return {row[0] for row in rows}


async def test_processes_that_migrate_at_once_do_it_once(database_url: str, empty: str) -> None:
    await asyncio.gather(*(schema.upgrade(database_url, empty) for _ in range(4)))

    assert await schema.current(database_url, empty) == schema.head()


async def test_partitions_made_before_their_index_get_it(database_url: str, empty: str) -> None:
    await schema.upgrade(database_url, empty, "0015")
    conn = await connect(database_url, schema=empty, name="test")
    await conn.execute("CREATE TABLE events_0 PARTITION OF events FOR VALUES FROM (0) TO (100000)")

    await schema.upgrade(database_url, empty, "0016")

    rows = await conn.fetch(
        "SELECT c.relname, x.indisvalid FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid"
        " WHERE c.relnamespace = to_regnamespace($1) AND c.relname LIKE '%payload_blob%'",
        empty,
    )
    await conn.close()
    assert {row[0]: row[1] for row in rows} == {
        "ix_events_payload_blob": True,
        "ix_events_0_payload_blob": True,
    }


async def test_check_names_the_command_that_mends_an_older_schema(
    database_url: str, empty: str
) -> None:
    with pytest.raises(schema.SchemaMismatch, match="runstore migrate up"):
        await schema.check(database_url, empty)
    await schema.upgrade(database_url, empty, schema.versions()[0])
    with pytest.raises(schema.SchemaMismatch, match="runstore migrate up"):
        await schema.check(database_url, empty)
    await schema.upgrade(database_url, empty)
    await schema.check(database_url, empty)


async def test_check_refuses_a_newer_schema(database_url: str, empty: str) -> None:
    await schema.upgrade(database_url, empty)
    conn = await connect(database_url, schema=empty, name="test")
    await conn.execute("UPDATE schema_version SET version_num = '9999'")
    await conn.close()

    with pytest.raises(schema.SchemaMismatch, match="newer than this release"):
        await schema.check(database_url, empty)


async def test_nothing_outside_the_schema_is_touched(database_url: str, empty: str) -> None:
    async def others() -> list[asyncpg.Record]:
        conn = await connect(database_url, schema=empty, name="test")
        try:
            return await conn.fetch(
                "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n"
                " ON n.oid = c.relnamespace WHERE n.nspname NOT LIKE 'pg_%'"
                " AND n.nspname NOT LIKE 'runstore_%' ORDER BY 1, 2"
            )
        finally:
            await conn.close()

    before = await others()
    await schema.upgrade(database_url, empty)

    assert await others() == before


async def test_check_refuses_a_feed_that_the_relay_would_publish_into(
    database_url: str, empty: str
) -> None:
    await schema.upgrade(database_url, empty)
    conn = await connect(database_url, schema=empty, name="test")
    await conn.execute("INSERT INTO feed VALUES (3, 1, 1, 3, 'p', now())")

    with pytest.raises(schema.RestoredInPart, match=r"ends at position 3, .* is at 0"):
        await schema.check(database_url, empty)
    await conn.execute("UPDATE duties SET position = 3 WHERE name = 'relay'")
    await schema.check(database_url, empty)
    await conn.execute("DELETE FROM duties")
    with pytest.raises(schema.RestoredInPart):
        await schema.check(database_url, empty)
    await conn.close()
