"""The service's role: it may do what the store's statements do, and nothing else."""

from __future__ import annotations

import asyncio
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from uuid import uuid4

import asyncpg
import pytest
import runstore_storage
from database import drop_schema, make_schema
from runstore_storage.database import rights
from runstore_storage.database.connection import Connection
from runstore_storage.database.opening import connect, quoted
from runstore_storage.database.service_rights import SEQUENCE, SERVICE, grants
from runstore_storage.sql import partitions
from runstore_storage.sql.inserts import Target
from runstore_storage.sql.partitions import RUNS_PER_PARTITION
from storage.sql.test_prepared import STATEMENTS
from until import until

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
CHANGES = re.compile(r"\b(INSERT\s+INTO|DELETE\s+FROM|UPDATE)\s+([a-z_]+)")
REPLACES = re.compile(r"INSERT INTO ([a-z_]+)[^;]*?ON CONFLICT ON CONSTRAINT \w+ DO UPDATE")


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
    for table in ("stored_changes", "subject_refs"):
        needed[table].add("INSERT")  # by the triggers of other tables

    spare = {
        (table, privilege)
        for table, each in SERVICE.items()
        for privilege in each
        if privilege != "SELECT" and privilege not in needed[table]
    }
    assert spare == set()


@pytest.mark.parametrize("table", [table for table in SERVICE if "UPDATE" not in SERVICE[table]])
async def test_a_table_that_is_never_changed_cannot_be_changed(
    owner: asyncpg.Connection, serving: asyncpg.Connection, table: str
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
            await serving.execute(statement)


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
    serving: asyncpg.Connection, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await serving.execute(statement)


async def test_a_schema_may_have_any_name(database_url: str) -> None:
    name = 'Run "store", 2'
    role = f"runstore_Role_{uuid4().hex[:8]}"
    owner = await connect(database_url, schema=name, name="test")
    await owner.execute(f"CREATE ROLE {quoted(role)}")
    try:
        await make_schema(database_url, name)
        await rights.give(owner, name, role)
        await rights.may_serve(owner, name, role)

        assert await partitions.room(Connection(owner)) > 0
    finally:
        await drop_schema(database_url, name)
        await owner.execute(f"DROP ROLE {quoted(role)}")
        await owner.close()


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
    lock, *statements = grants("a\"'b", 'c"; DROP')

    assert "runstore rights a\"''b'" in lock
    for statement in statements:
        assert '"a""\'b"' in statement
        assert statement.endswith('"c""; DROP"')


async def test_the_statements_wait_for_others_that_change_the_same_rights(
    database_url: str, own_schema: str, owner: asyncpg.Connection, role: str
) -> None:
    other = await connect(database_url, schema=own_schema, name="test")
    printed = ";".join(("BEGIN", *grants(own_schema, role), "COMMIT"))
    waits = "SELECT cardinality(pg_blocking_pids($1)) > 0"
    pid = other.get_server_pid()
    try:
        async with owner.transaction():
            await rights.give(owner, own_schema, role)
            printing = asyncio.create_task(other.execute(printed))
            await until(lambda: owner.fetchval(waits, pid))

        await printing
        assert await privileges(owner, own_schema, role) == SERVICE
    finally:
        await other.close()
