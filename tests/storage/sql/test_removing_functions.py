"""The functions that remove rows for good: who may call them, and for what."""

from __future__ import annotations

import asyncpg
import pytest
from conftest import make_store
from database import url_as
from runstore_migrations import schema
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.opening import quoted
from storage.contract.archiving import archived, external, restored, rows_of
from storage.contract.test_removals import deleted, relayed, removals, removed, take_duties

CALLS = (
    "SELECT clear_run(1)",
    "SELECT remove_rows('events', 1, 1)",
    "SELECT remove_artifacts(1, 1)",
    "SELECT archive_rows(1, 1)",
    "SELECT forget_archived(1, 1)",
)


async def run_of(database_url: str, own_schema: str) -> RunKey:
    store = make_store(database_url, own_schema)
    try:
        key = (await store.save_run(NewRun("p", "run"))).run.key
        await store.complete_run(key, Completion(Outcome.SUCCEEDED))
    finally:
        await store.close()
    return key


async def test_the_role_removes_a_run_by_them(
    database_url: str, own_schema: str, role: str
) -> None:
    store = make_store(url_as(database_url, role), own_schema)
    try:
        await take_duties(store)
        key = (await store.save_run(NewRun("p", "run"))).run.key
        await store.complete_run(key, Completion(Outcome.SUCCEEDED))
        await relayed(store)
        await deleted(store, key)
        await removed(store)

        assert (await removals(store))[0].is_done
    finally:
        await store.close()


@pytest.mark.parametrize("call", CALLS)
async def test_nobody_calls_them_without_the_right(
    database_url: str,
    own_schema: str,
    owner: asyncpg.Connection,
    serving: asyncpg.Connection,
    role: str,
    call: str,
) -> None:
    await run_of(database_url, own_schema)
    await owner.execute(f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {own_schema} FROM {role}")

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await serving.execute(call)


async def test_the_callers_tables_do_not_lead_them_astray(
    database_url: str, own_schema: str, serving: asyncpg.Connection
) -> None:
    await run_of(database_url, own_schema)
    await serving.execute(
        "CREATE TABLE pg_temp.removal_steps AS SELECT 1::bigint AS removal, now() AS begun_at,"
        " pg_current_xact_id()::text::bigint AS transaction"
    )
    await serving.execute("CREATE TABLE pg_temp.removals AS SELECT 1::bigint AS removal, 1 AS run")
    await serving.execute("CREATE TABLE pg_temp.run_heads (run bigint)")

    for call in CALLS[:2]:
        async with serving.transaction():
            await serving.execute(
                "UPDATE pg_temp.removal_steps SET begun_at = now(),"
                " transaction = pg_current_xact_id()::text::bigint"
            )
            with pytest.raises(asyncpg.RestrictViolationError):
                async with serving.transaction():
                    await serving.execute(call)


async def test_they_work_for_the_tables_owner_whoever_migrates(
    database_url: str, owner: asyncpg.Connection, own_schema: str, role: str
) -> None:
    await schema.downgrade(database_url, own_schema, "0017")
    await owner.execute(f"GRANT CREATE, USAGE ON SCHEMA {own_schema} TO {role}")
    tables = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1)"
        " AND relkind IN ('r', 'p') AND NOT relispartition",
        own_schema,
    )
    for (table,) in tables:
        await owner.execute(f"ALTER TABLE {table} OWNER TO {role}")

    await schema.upgrade(database_url, own_schema)

    store = make_store(database_url, own_schema)
    try:
        await take_duties(store)
        key = (await store.save_run(NewRun("p", "run"))).run.key
        await store.complete_run(key, Completion(Outcome.SUCCEEDED))
        await relayed(store)
        await deleted(store, key)
        await removed(store)
        assert (await removals(store))[0].is_done
        other = await external(store, "other")
        before = await rows_of(store, other)
        await archived(store, other)
        assert await rows_of(store, other) == []
        await restored(store, other)
        assert await rows_of(store, other) == before
    finally:
        await store.close()
        me = await owner.fetchval("SELECT current_user::text")
        await owner.execute(f"REASSIGN OWNED BY {role} TO {quoted(me)}")


async def test_a_temporary_ledger_does_not_let_rows_go(
    database_url: str, owner: asyncpg.Connection, own_schema: str
) -> None:
    await run_of(database_url, own_schema)
    for table in ("removals", "removal_steps"):
        await owner.execute(f"CREATE TABLE pg_temp.{table} AS SELECT * FROM {own_schema}.{table}")
    await owner.execute("INSERT INTO pg_temp.removals (removal, run) VALUES (1, 1)")
    async with owner.transaction():
        await owner.execute(
            "INSERT INTO pg_temp.removal_steps (removal, begun_at, transaction)"
            " VALUES (1, now(), pg_current_xact_id()::text::bigint)"
        )
        for statement in ("DELETE FROM events", "DELETE FROM run_heads"):
            with pytest.raises(asyncpg.RestrictViolationError):
                async with owner.transaction():
                    await owner.execute(statement)


async def test_a_removal_names_its_record(
    database_url: str, owner: asyncpg.Connection, own_schema: str
) -> None:
    store = make_store(database_url, own_schema)
    try:
        key = (await store.save_run(NewRun("p", "run"))).run.key
        await store.complete_run(key, Completion(Outcome.SUCCEEDED))
        await deleted(store, key)
    finally:
        await store.close()

    with pytest.raises(asyncpg.ForeignKeyViolationError, match="fk_removals_record"):
        await owner.execute(
            "INSERT INTO removals (removal_id, project, run, kind, birth, first_seq, last_seq,"
            " record, begun_at)"
            " SELECT 'x', project, run, kind, birth, 0, 0, 99, now() FROM removals"
        )
