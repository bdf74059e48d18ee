"""A connection to Postgres that executes SQLAlchemy's texts by the driver itself.

The texts of `sql/` are complete; between them and asyncpg SQLAlchemy's asynchronous engine takes
four times as long as everything else that a statement costs this process, so it is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import TextClause

# A parameter as `text` understands it: no cast, no part of a word, not escaped.
_PARAMETER = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")


class Row(asyncpg.Record):
    """A row whose columns are read by place, name or attribute."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Rows(list[Any]):
    """All rows of a statement."""

    def all(self) -> list[Any]:
        return self

    def one_or_none(self) -> Any:
        """The only row, None where there is none."""
        return self.one() if self else None

    def one(self) -> Any:
        """The only row."""
        (row,) = self
        return row

    def scalar_one(self) -> Any:
        """The only row's first column."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """The only row's first column, None where there is no row."""
        row = self.one_or_none()
        return None if row is None else row[0]

    def scalars(self) -> Rows:
        """The first column of all rows."""
        return Rows(row[0] for row in self)


class Connection:
    """What the contexts of `engine` lend; they begin and end its transactions."""

    def __init__(self, driver: PoolConnectionProxy[Any]) -> None:
        self.driver = driver

    async def execute(
        self, statement: TextClause | str, values: Mapping[str, object] | None = None
    ) -> Rows:
        """The rows of a statement, read to the end; a string is read as `text` would."""
        sql, arguments = sent(statement, values)
        return Rows(await self.driver.fetch(sql, *arguments))


def sent(
    statement: TextClause | str, values: Mapping[str, object] | None
) -> tuple[str, tuple[object, ...]]:
    """What the driver is given: the statement with $1, $2, ..., and their values."""
    sql, names = _numbered(statement if isinstance(statement, str) else statement.text)
    given = values or {}
    return sql, tuple(given[name] for name in names)


@lru_cache(maxsize=1024)
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement with $1, $2, ... for its parameters, and which they are."""
    names = tuple(dict.fromkeys(_PARAMETER.findall(sql)))
    numbers = {name: number for number, name in enumerate(names, 1)}
    return _PARAMETER.sub(lambda found: f"${numbers[found[1]]}", sql).replace("\\:", ":"), names
