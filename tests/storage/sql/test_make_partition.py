"""make_partition(): what it makes, who may call it, and that no caller leads it astray."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from conftest import make_store
from database import url_as
from runstore_migrations import schema
from runstore_server.cli.migrate import MAX_ROOM
from runstore_storage.contract.events import Event
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.connection import Connection
from runstore_storage.database.opening import connect, quoted
from runstore_storage.sql import partitions
from runstore_storage.sql.partitions import RUNS_PER_PARTITION


async def test_the_role_makes_partitions_by_the_function(
    database_url: str, own_schema: str, owner: asyncpg.Connection, role: str
) -> None:
    first = 3 * RUNS_PER_PARTITION
    await owner.execute("SELECT setval(pg_get_serial_sequence('runs', 'run'), $1)", first - 1)
    store = make_store(url_as(database_url, role), own_schema)
    try:
        key = (await store.save_run(NewRun("p", "beyond"))).run.key
        await store.append_events(key, [Event("a")])
    finally:
        await store.close()

    holding = await owner.fetchval("SELECT tableoid::regclass::text FROM events")
    owners = await owner.fetch(
        "SELECT DISTINCT relowner FROM pg_class WHERE relnamespace = to_regnamespace($1)"
        " AND relname LIKE 'events%' AND relkind IN ('r', 'p')",
        own_schema,
    )
    assert holding == f"events_{first}"
    assert len(owners) == 1


async def test_roles_that_need_a_partition_at_once_make_it_once(
    database_url: str, own_schema: str, owner: asyncpg.Connection, role: str
) -> None:
    urls = [database_url, url_as(database_url, role)] * 3
    conns = [await connect(url, schema=own_schema, name="test") for url in urls]

    async def make(conn: asyncpg.Connection) -> bool:
        async with conn.transaction():
            return await conn.fetchval("SELECT make_partition($1)", 7 * RUNS_PER_PARTITION + 1)

    try:
        made = await asyncio.gather(*(make(each) for each in conns))
    finally:
        await asyncio.gather(*(each.close() for each in conns))

    assert sorted(made) == [False] * 5 + [True]


@pytest.mark.parametrize("run", [0, 1, 99_999, 100_000, 1_234_567])
async def test_the_function_makes_the_partition_that_the_store_expects(
    owner: asyncpg.Connection, run: int
) -> None:
    await partitions.ensure(Connection(owner), run)

    low = partitions.lower_bound(run)
    bound = await owner.fetchval(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = to_regclass($1)",
        f"events_{low}",
    )
    assert bound == f"FOR VALUES FROM ('{low}') TO ('{low + RUNS_PER_PARTITION}')"


@pytest.mark.parametrize("run", [-1, MAX_ROOM + 1, 2**63 - 1])
async def test_no_partition_is_made_beyond_all_room(serving: asyncpg.Connection, run: int) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await serving.execute("SELECT make_partition($1)", run)


async def test_nobody_makes_partitions_without_the_right(
    owner: asyncpg.Connection, serving: asyncpg.Connection, own_schema: str, role: str
) -> None:
    await owner.execute(f"REVOKE EXECUTE ON FUNCTION make_partition(bigint) FROM {role}")

    assert not await partitions.may_make(Connection(serving))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await serving.execute("SELECT make_partition(0)")


async def test_the_callers_search_path_does_not_lead_the_function_astray(
    owner: asyncpg.Connection, serving: asyncpg.Connection, own_schema: str, role: str
) -> None:
    trap = f"{own_schema}_trap"
    sprung = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'sprung'; END $$"
    await owner.execute(f"CREATE SCHEMA {trap} AUTHORIZATION {role}")
    for at in (trap, "pg_temp"):
        for statement in (
            f"CREATE TABLE {at}.events (run bigint, taken text) PARTITION BY RANGE (run)",
            f"CREATE TABLE {at}.pg_class (relname name, relnamespace oid)",
            f"CREATE FUNCTION {at}.refuse_change() RETURNS trigger {sprung}",
            f"CREATE FUNCTION {at}.mod(bigint, integer) RETURNS bigint {sprung}",
            f"CREATE FUNCTION {at}.pg_advisory_xact_lock(bigint) RETURNS void {sprung}",
            f"CREATE FUNCTION {at}.current_schema() RETURNS name {sprung}",
        ):
            await serving.execute(statement)
    await serving.execute(f"SET search_path = pg_temp, {trap}, pg_catalog, {own_schema}")

    assert await serving.fetchval(f"SELECT {own_schema}.make_partition($1)", 8 * RUNS_PER_PARTITION)

    made = f"events_{8 * RUNS_PER_PARTITION}"
    where = await owner.fetch(
        "SELECT nspname, inhparent::regclass::text, tgfoid::regproc::text"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " JOIN pg_inherits ON inhrelid = c.oid JOIN pg_trigger ON tgrelid = c.oid"
        " WHERE relname = $1 AND tgname = $2",
        made,
        f"tr_{made}_truncate",
    )
    await owner.execute(f"DROP SCHEMA {trap} CASCADE")
    assert [tuple(row) for row in where] == [(own_schema, "events", "refuse_change")]


async def test_who_may_insert_events_may_make_partitions_once_migrated(
    database_url: str, owner: asyncpg.Connection, own_schema: str, role: str
) -> None:
    await owner.execute(f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {own_schema} FROM {role}")
    await schema.downgrade(database_url, own_schema, "0017")
    reader = f"{role}_reader"
    await owner.execute(f"CREATE ROLE {reader}")
    await owner.execute(f"GRANT SELECT ON events TO {reader}")

    await schema.upgrade(database_url, own_schema)

    may = {
        each: await owner.fetchval(
            "SELECT has_function_privilege($1, 'make_partition(bigint)', 'EXECUTE')", each
        )
        for each in (role, reader)
    }
    await owner.execute(f"DROP OWNED BY {reader}")
    await owner.execute(f"DROP ROLE {reader}")
    assert may == {role: True, reader: False}


async def test_the_function_is_the_tables_owners_whoever_migrates(
    database_url: str, owner: asyncpg.Connection, own_schema: str, role: str
) -> None:
    await schema.downgrade(database_url, own_schema, "0017")
    await owner.execute(f"GRANT CREATE, USAGE ON SCHEMA {own_schema} TO {role}")
    await owner.execute(f"ALTER TABLE events OWNER TO {role}")

    await schema.upgrade(database_url, own_schema)

    of = "SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE oid = to_regprocedure($1)"
    assert await owner.fetchval(of, "make_partition(bigint)") == role
    me = await owner.fetchval("SELECT current_user::text")
    await owner.execute(f"REASSIGN OWNED BY {role} TO {quoted(me)}")
