"""That the statements fit the schema that migrations make."""

from __future__ import annotations

import pkgutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib import import_module

import asyncpg
import pytest
import pytest_asyncio
import runstore_storage
from runstore_storage.database.opening import connect
from runstore_storage.database.statements import Statement


def statements() -> Iterator[tuple[str, Statement]]:
    """Every statement that a module of the store holds, by name."""
    for module in pkgutil.walk_packages(runstore_storage.__path__, "runstore_storage."):
        for name, value in vars(import_module(module.name)).items():
            if not name.startswith("__"):
                yield from held(f"{module.name.removeprefix('runstore_storage.')}.{name}", value)


def held(name: str, value: object) -> Iterator[tuple[str, Statement]]:
    """The statements that a value is or contains."""
    if isinstance(value, Statement):
        yield name, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from held(f"{name}[{key}]", each)
    elif isinstance(value, tuple | list):
        for index, each in enumerate(value):
            yield from held(f"{name}[{index}]", each)


STATEMENTS = dict(statements())


@pytest_asyncio.fixture(scope="module")
async def conn(database_url: str, db_schema: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect(database_url, schema=db_schema, name="test")
    yield opened
    await opened.close()


def test_the_statements_of_every_noun_are_found() -> None:
    nouns = Counter(name.split(".")[1] for name in STATEMENTS if name.startswith("sql."))

    assert {"events", "heads", "runs", "snapshot_deletions", "feed", "configs"} <= nouns.keys()


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_statement_can_be_prepared(conn: asyncpg.Connection, name: str) -> None:
    await conn.prepare(STATEMENTS[name].sql)


@pytest.mark.parametrize("name", [name for name in STATEMENTS if name.startswith("sql.")])
async def test_each_column_of_a_row_has_a_name_of_its_own(
    conn: asyncpg.Connection, name: str
) -> None:
    prepared = await conn.prepare(STATEMENTS[name].sql)

    names = [column.name for column in prepared.get_attributes()]
    assert len(set(names)) == len(names)
