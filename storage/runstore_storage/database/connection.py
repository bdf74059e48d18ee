"""A connection to Postgres on which the driver itself executes statements.

SQLAlchemy's asynchronous engine would take four times as long as everything else that a statement
costs this process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from runstore_storage.database.statements import NO_VALUES, Statement


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

    async def execute(self, statement: Statement, values: Mapping[str, object] = NO_VALUES) -> Rows:
        """The rows of a statement, read to the end; `values` has one for each parameter."""
        return Rows(await self.driver.fetch(statement.sql, *statement.arguments(values)))
