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

# Columns are read by name, as in row["seq"], which takes hardly longer than by position. Attributes
# made from them would take ten times as long.
Row = asyncpg.Record


class Rows(list[Row]):
    """All rows of a statement."""

    def one_or_none(self) -> Row | None:
        """The only row, None where there is none."""
        return self.one() if self else None

    def one(self) -> Row:
        """The only row."""
        (row,) = self
        return row

    def scalar_one(self) -> Any:
        """The only column of the only row."""
        (value,) = self.one()
        return value

    def scalar_one_or_none(self) -> Any:
        """The only column of the only row, None where there is no row."""
        return self.scalar_one() if self else None

    def scalars(self) -> list[Any]:
        """The only column of each row."""
        return [value for (value,) in self]


class Connection:
    """A driver's connection; the functions of `engine` begin and end its transactions."""

    def __init__(self, driver: asyncpg.Connection | PoolConnectionProxy[Row]) -> None:
        self.driver = driver

    async def execute(self, statement: Statement, values: Mapping[str, object] = NO_VALUES) -> Rows:
        """The rows of a statement, read to the end; `values` has one for each parameter."""
        return Rows(await self.driver.fetch(statement.sql, *statement.arguments(values)))
