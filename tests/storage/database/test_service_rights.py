"""The service's role: it may do what the store's statements do, and nothing else."""

from __future__ import annotations

import asyncio
import pkgutil
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from uuid import uuid4

import asyncpg
import pytest
import runstore_storage
from conftest import make_store
from runstore_migrations import schema
from runstore_storage.contract.events import Event
from runstore_storage.contract.runs import NewRun
from runstore_storage.database import rights
from runstore_storage.database.connection import Connection
from runstore_storage.database.opening import connect, quoted
from runstore_storage.database.service_rights import SEQUENCE, SERVICE, grants
from runstore_storage.sql import partitions
from runstore_storage.sql.inserts import Target
from runstore_storage.sql.partitions import RUNS_PER_PARTITION
from storage.sql.test_prepared import STATEMENTS

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
CHANGES = re.compile(r"\b(INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+([a-z_]+)")
REPLACES = re.compile(r"INSERT INTO ([a-z_]+)[^;]*?ON CONFLICT ON CONSTRAINT \w+ DO UPDATE")


@pytest.fixture
async def owner(database_url: str, own_schema: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the role that owns the schema."""
    opened = await connect(database_url, schema=own_schema, name="test")
    yield opened
    await opened.close()


@pytest.fixture
async def role(owner: asyncpg.Connection, own_schema: str) -> AsyncIterator[str]:
    """A role that was given the service's rights."""
    name = f"runstore_role_{uuid4().hex[:8]}"
    await owner.execute(f"CREATE ROLE {name}")
    await rights.give(owner, own_schema, name)
    yield name
    await owner.execute(f"DROP OWNED BY {name}")
    await owner.execute(f"DROP ROLE {name}")


def as_role(database_url: str, role: str) -> str:
    return f"{database_url}{'&' if '?' in database_url else '?'}role={role}"


@pytest.fixture
async def conn(database_url: str, own_schema: str, role: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the service's role."""
    opened = await connect(as_role(database_url, role), schema=own_schema, name="test")
    assert await opened.fetchval("SELECT current_user") == role
    yield opened
    await opened.close()


async def privileges(owner: asyncpg.Connection, name: str, role: str) -> dict[str, tuple[str, ...]]:
    """What the role may do to each table and partition of the schema."""
    found = await owner.fetch(
        "SELECT relname, privilege FROM pg_class, unnest($2::text[]) WITH ORDINALITY"
        " AS asked(privilege, number)"
        " WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')"
        " AND has_table_privilege($3, pg_class.oid, privilege) ORDER BY number",
        name,
        PRIVILEGES,
        role,
    )
    by_table = defaultdict(list)
    for row in found:
        by_table[row["relname"]].append(row["privilege"])
    return {table: tuple(each) for table, each in by_table.items()}


async def test_the_role_may_do_what_is_listed_and_nothing_else(
    owner: asyncpg.Connection, own_schema: str, role: str
) -> None:
    everything = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1)"
        " AND relkind IN ('r', 'p') AND NOT relispartition",
        own_schema,
    )

    assert {row["relname"] for row in everything} == SERVICE.keys()
    assert await privileges(owner, own_schema, role) == SERVICE
    assert not await owner.fetchval(
        "SELECT has_schema_privilege($1, $2, 'CREATE')", role, own_schema
    )
    sequences = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1)"
        " AND CASE relkind WHEN 'S'"
        " THEN has_sequence_privilege($2, oid, 'USAGE, SELECT, UPDATE') END",
        own_schema,
        role,
    )
    assert [row["relname"] for row in sequences] == [SEQUENCE]


async def test_what_earlier_grants_gave_is_taken_and_not_given_again(
    owner: asyncpg.Connection, own_schema: str, role: str
) -> None:
    for statement in (
        f"GRANT ALL ON ALL TABLES IN SCHEMA {own_schema} TO {role}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {own_schema} TO {role}",
        f"GRANT ALL ON SCHEMA {own_schema} TO {role}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {own_schema} GRANT ALL ON TABLES TO {role}",
    ):
        await owner.execute(statement)

    # One is made before the default privileges go, and one after.
    await partitions.ensure(Connection(owner), 5 * RUNS_PER_PARTITION)
    made_before = (await privileges(owner, own_schema, role))[f"events_{5 * RUNS_PER_PARTITION}"]
    await rights.give(owner, own_schema, role)
    await partitions.ensure(Connection(owner), 6 * RUNS_PER_PARTITION)

    assert set(made_before) <= {"SELECT"}
    assert await privileges(owner, own_schema, role) == SERVICE


def targets() -> Iterator[Target]:
    """What rows are inserted into by statements that are put together when they are needed."""
    for module in pkgutil.walk_packages(runstore_storage.__path__, "runstore_storage."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, Target):
                yield value


def test_each_right_is_one_that_a_statement_needs() -> None:
    """The contract's tests, run as this role, show that no right is missing."""
    needed = defaultdict(set)
    for text in [each.sql for each in STATEMENTS.values()]:
        for verb, table in CHANGES.findall(text):
            needed[table].add(verb.split()[0])
        for table in REPLACES.findall(text):
            needed[table].add("UPDATE")
    for target in targets():
        needed[target.table].add("INSERT")
        if "DO UPDATE" in target.conflict:
            needed[target.table].add("UPDATE")

    spare = {
        (table, privilege)
        for table, each in SERVICE.items()
        for privilege in each
        if privilege != "SELECT" and privilege not in needed[table]
    }
    assert spare == set()


@pytest.mark.parametrize("table", [table for table in SERVICE if "UPDATE" not in SERVICE[table]])
async def test_a_table_that_is_never_changed_cannot_be_changed(
    owner: asyncpg.Connection, conn: asyncpg.Connection, table: str
) -> None:
    await owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    column = await owner.fetchval(
        "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0"
        " AND attidentity = '' LIMIT 1",
        table,
    )
    statements = [f"UPDATE {table} SET {column} = {column}", f"TRUNCATE {table}"]
    statements += [f"DELETE FROM {table}"] if "DELETE" not in SERVICE[table] else []

    for statement in statements:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (a int)",
        "CREATE TABLE events_900000 PARTITION OF events FOR VALUES FROM (900000) TO (1000000)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP TABLE events",
        "DROP FUNCTION make_partition(bigint)",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "ALTER TABLE events DETACH PARTITION events_0",
        "ALTER FUNCTION make_partition(bigint) RESET search_path",
        "CREATE OR REPLACE FUNCTION make_partition(for_run bigint) RETURNS boolean"
        " LANGUAGE sql AS 'SELECT true'",
        "DELETE FROM events_0",
        "INSERT INTO events_0 SELECT * FROM events",
        "UPDATE schema_version SET version_num = '1'",
        "SET session_replication_role = replica",
    ],
)
async def test_what_the_role_may_not_do_is_refused(
    conn: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.execute(statement)


async def test_the_role_makes_partitions_by_the_function(
    database_url: str, own_schema: str, owner: asyncpg.Connection, role: str
) -> None:
    first = 3 * RUNS_PER_PARTITION
    await owner.execute("SELECT setval(pg_get_serial_sequence('runs', 'run'), $1)", first - 1)
    store = make_store(as_role(database_url, role), own_schema)
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
    urls = [database_url, as_role(database_url, role)] * 3
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


@pytest.mark.parametrize(
    ("run", "refusal"),
    [(-1, asyncpg.InvalidParameterValueError), (2**63 - 1, asyncpg.NumericValueOutOfRangeError)],
)
async def test_no_other_partition_is_made(
    conn: asyncpg.Connection, run: int, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        await conn.execute("SELECT make_partition($1)", run)


async def test_nobody_makes_partitions_without_the_right(
    owner: asyncpg.Connection, conn: asyncpg.Connection, own_schema: str, role: str
) -> None:
    await owner.execute(f"REVOKE EXECUTE ON FUNCTION make_partition(bigint) FROM {role}")

    assert not await partitions.may_make(Connection(conn))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await conn.execute("SELECT make_partition(0)")


async def test_the_callers_search_path_does_not_lead_the_function_astray(
    owner: asyncpg.Connection, conn: asyncpg.Connection, own_schema: str, role: str
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
            await conn.execute(statement)
    await conn.execute(f"SET search_path = pg_temp, {trap}, pg_catalog, {own_schema}")

    assert await conn.fetchval(f"SELECT {own_schema}.make_partition($1)", 8 * RUNS_PER_PARTITION)

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


async def test_a_schema_may_have_any_name(database_url: str) -> None:
    name = 'Run "store", 2'
    role = f"runstore_Role_{uuid4().hex[:8]}"
    owner = await connect(database_url, schema=name, name="test")
    await owner.execute(f"CREATE ROLE {quoted(role)}")
    try:
        await schema.upgrade(database_url, name, room=1)
        await rights.give(owner, name, role)
        await rights.may_serve(owner, name, role)

        assert await partitions.room(Connection(owner)) > 0
    finally:
        await owner.execute(f"DROP SCHEMA IF EXISTS {quoted(name)} CASCADE")
        await owner.execute(f"DROP ROLE {quoted(role)}")
        await owner.close()


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


async def test_only_a_role_that_owns_nothing_is_given_rights(
    owner: asyncpg.Connection, own_schema: str
) -> None:
    me = await owner.fetchval("SELECT current_user::text")

    with pytest.raises(rights.OwnsAlready, match="owns the tables"):
        await rights.give(owner, own_schema, me)
    with pytest.raises(rights.NoRole, match="there is no role nobody_of_ours"):
        await rights.give(owner, own_schema, "nobody_of_ours")


async def test_what_the_role_lacks_is_named(
    owner: asyncpg.Connection, own_schema: str, role: str
) -> None:
    await owner.execute(f"REVOKE UPDATE ON run_heads FROM {role}")
    await owner.execute(f"REVOKE INSERT ON events FROM {role}")

    with pytest.raises(rights.MissingRights) as refused:
        await rights.may_serve(owner, own_schema, role)

    said = str(refused.value)
    assert f"INSERT on {own_schema}.events; UPDATE on {own_schema}.run_heads" in said


def test_names_are_quoted_in_the_statements() -> None:
    for statement in grants('a"b', 'c"; DROP'):
        assert '"a""b"' in statement
        assert statement.endswith('"c""; DROP"')
