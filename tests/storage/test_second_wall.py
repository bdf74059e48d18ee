"""No call reads or changes what is another project's, whatever it asks for.

Two projects have the same names for everything, so what is looked up by the wrong one is found.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio
from conftest import make_served_store
from database import drop_schema, make_schema
from row_policies import SCOPES
from runstore_storage.contract.feed import REMOVALS, RETENTION
from runstore_storage.contract.scope import NoScope, Scope, ScopeMismatch, bound
from runstore_storage.database.connection import Connection, Rows
from runstore_storage.database.opening import connect
from runstore_storage.database.statements import NO_VALUES, Kind, Statement
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore
from scopes import SYSTEM, methods
from storage.every_call import CALLS, MORE, furnish, run
from storage.sql.test_prepared import STATEMENTS

SCHEMA = "runstore_second_wall"
MINE, THEIRS, NOBODYS = "mine", "theirs", "nobodys"
MAKES_OWN = re.compile(r"INSERT INTO \w+ \(project,")
"""A statement that makes rows, which are of the scope whatever it is given."""
RETURNS_NOTHING = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b(?!.*\bRETURNING\b)", re.DOTALL)
sent_by_call: ContextVar[list[str]] = ContextVar("sent_by_call")
"""What the current call has sent, but for what others send for it, such as the lanes of appends."""
MAKING = {
    *("save_run", "configs.register_version"),
    *("admin.create_token", "admin.revoke_token", "admin.set_limits", "holds.place_hold"),
    *("removals.delete_run", "retention.put_policy", "retention.delete_policy"),
    *("erasures.erase_events", "erasures.erase_subject"),
    *("archives.archive_run", "archives.restore_run"),
}
"""The methods that make what does not exist; to do so in another project is no caller's mistake."""


@pytest_asyncio.fixture(scope="module")
async def served(database_url: str) -> AsyncIterator[PostgresStore]:
    """A store as a server has it, on two projects that nothing else is written to."""
    await make_schema(database_url, SCHEMA)
    opened = make_served_store(database_url, SCHEMA, large_payloads=LargePayloads(100))
    try:
        for project in (MINE, THEIRS):
            await furnish(opened, project)
        yield opened
    finally:
        await opened.close()
        await drop_schema(database_url, SCHEMA)


@pytest_asyncio.fixture(scope="module")
async def conn(database_url: str, served: PostgresStore) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect(database_url, schema=SCHEMA, name="test")
    yield opened
    await opened.close()


async def everything(conn: asyncpg.Connection) -> dict[str, list[str]]:
    """All rows of all tables."""
    tables = await conn.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'duties'"
    )
    return {
        table: [row[0] for row in await conn.fetch(f"SELECT t::text FROM {table} t ORDER BY 1")]
        for (table,) in tables
    }


async def outcome(store: PostgresStore, name: str, project: str) -> str:
    """How a call that names a project ends, without the project's name."""
    try:
        ended = repr(await CALLS[name](store, project))
    except Exception as error:
        ended = f"{type(error).__name__}: {error} {getattr(error, 'details', '')}"
    return ended.replace(project, "...")


def test_each_method_is_called_here_or_is_the_servers_own() -> None:
    assert {name for name, _ in methods()} == CALLS.keys() | SYSTEM
    assert not CALLS.keys() & SYSTEM


@pytest.mark.parametrize("name", CALLS)
async def test_without_a_scope_nothing_is_read_or_written(
    served: PostgresStore, conn: asyncpg.Connection, name: str
) -> None:
    before = await everything(conn)

    with pytest.raises(NoScope):
        await CALLS[name](served, MINE)

    assert await everything(conn) == before


@pytest.mark.parametrize("name", CALLS)
async def test_another_project_is_as_one_that_does_not_exist(
    served: PostgresStore, conn: asyncpg.Connection, name: str
) -> None:
    before = await everything(conn)
    sent: list[str] = []
    plain = Connection.execute

    async def execute(
        self: Connection, given: Statement, values: Mapping[str, object] = NO_VALUES
    ) -> Rows:
        if sent_by_call.get(None) is sent:  # no server of another test is at work here
            sent.append(given.sql)
        return await plain(self, given, values)

    async def asked(project: str) -> tuple[str, list[str]]:
        sent.clear()
        with pytest.MonkeyPatch.context() as patched, bound(Scope(MINE)):
            patched.setattr(Connection, "execute", execute)
            before_call = sent_by_call.set(sent)
            ended = await outcome(served, name, project)
            sent_by_call.reset(before_call)
        return ended, list(sent)

    theirs, for_theirs = await asked(THEIRS)
    nobodys, for_nobodys = await asked(NOBODYS)

    assert theirs == nobodys
    assert for_theirs == for_nobodys, "a call that does more takes longer, which tells"
    assert theirs.startswith(ScopeMismatch.__name__) is (name in MAKING)
    assert await everything(conn) == before


class Sent:
    """The statements on tenants' rows that were sent, each with values that found something."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[Statement, Mapping[str, object]]] = {}
        self.fruitless: dict[str, tuple[Statement, Mapping[str, object]]] = {}

    def note(self, statement: Statement, values: Mapping[str, object], rows: Rows) -> None:
        if statement.kind is not Kind.SYSTEM:
            (self.found if rows else self.fruitless)[statement.sql] = statement, dict(values)


@pytest.fixture
async def sent(own_schema: str, database_url: str) -> AsyncIterator[Sent]:
    """What a store sends for every call of a project, which is not the first one there."""
    noted, plain = Sent(), Connection.execute

    async def execute(
        self: Connection, given: Statement, values: Mapping[str, object] = NO_VALUES
    ) -> Rows:
        rows = await plain(self, given, values)
        noted.note(given, values, rows)
        return rows

    store = make_served_store(database_url, own_schema, large_payloads=LargePayloads(100))
    try:
        await furnish(store, MINE)
        with pytest.MonkeyPatch.context() as patched, bound(Scope(THEIRS)):
            patched.setattr(Connection, "execute", execute)
            await furnish(store, THEIRS)
            for call in (*MORE.values(), *CALLS.values()):
                await call(store, THEIRS)
            async with store.open_tail(run(THEIRS)):
                await store._tails._compare()
            await let_go(store)
        yield noted
    finally:
        await store.close()


async def let_go(store: PostgresStore) -> None:
    """Do what the duties do with what policies let go."""
    for duty in (RETENTION, REMOVALS):
        await store.feed.hold_duty(duty, "me")
    while await store.retention.retain("me", idle=timedelta(days=30)):
        pass
    while await store.removals.remove("me") or await store.archives.archive("me"):
        pass


def given_to(project: str, statement: Statement, values: Mapping[str, object]) -> list[object]:
    """The arguments of the same statement as a call of another project would send it."""
    scopes = {
        name: [project] * len(each)
        for name, each in values.items()
        if isinstance(each, list) and name in SCOPES
    }
    with bound(Scope(project)):
        return statement.arguments({**values, **scopes})


async def result(conn: asyncpg.Connection, statement: Statement, given: Sequence[object]) -> str:
    """What a statement finds; it may neither change nor lock a row."""
    transaction = conn.transaction()
    await transaction.start()
    try:
        rows = await conn.fetch(statement.sql, *given)
        assert await conn.fetchval("SELECT pg_current_xact_id_if_assigned()") is None
        return repr([[each for each in row if not isinstance(each, datetime)] for row in rows])
    except asyncpg.NotNullViolationError as error:  # a number is NULL that is another project's
        return str(error.column_name)
    finally:
        await transaction.rollback()


async def test_no_statement_finds_anything_by_the_numbers_of_another_project(
    database_url: str, own_schema: str, sent: Sent
) -> None:
    conn = await connect(database_url, schema=own_schema, name="test")
    tried = set()

    for statement, values in (sent.fruitless | sent.found).values():
        if MAKES_OWN.search(statement.sql):
            continue
        mine = await result(conn, statement, given_to(MINE, statement, values))
        nobodys = await result(conn, statement, given_to(NOBODYS, statement, values))
        assert mine == nobodys, statement.sql
        tried.add(statement.sql)

    await conn.close()
    named = {name: each.sql for name, each in STATEMENTS.items() if each.kind is not Kind.SYSTEM}
    assert not [
        name for name, sql in named.items() if sql not in tried and not MAKES_OWN.search(sql)
    ]
    # What is tried is something that the other project has found before.
    assert not [
        name
        for name, sql in named.items()
        if sql not in sent.found and not RETURNS_NOTHING.match(sql)
    ]
