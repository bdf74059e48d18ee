"""Rows of several tables and the heads they belong to, stored by one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import asyncpg

from runstore_storage.contract.errors import StorageError
from runstore_storage.database.connection import Connection
from runstore_storage.database.failures import violated
from runstore_storage.database.statements import Statement, statement
from runstore_storage.sql import heads
from runstore_storage.sql.columns import Columns, by_column, insert_rows
from runstore_storage.sql.heads import Head


class Target(NamedTuple):
    """Where rows go, and what happens to those that are there: `conflict` ends the INSERT."""

    table: str
    columns: Columns
    conflict: str = ""


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows to be stored; `refusals` are raised where they break the constraint of that name."""

    target: Target
    rows: Sequence[Sequence[object]]
    refusals: Mapping[str, StorageError] = field(default_factory=dict)


async def store(conn: Connection, inserts: Sequence[Insert], changed: Sequence[Head]) -> None:
    """Store the rows, and the heads as they are now."""
    values = heads.parameters(changed)
    for number, each in enumerate(inserts):
        values |= by_column(each.target.columns, each.rows, prefix=_prefix(number))
    try:
        await conn.execute(_statement(tuple(each.target for each in inserts)), values)
    except asyncpg.IntegrityConstraintViolationError as error:
        name = violated(error)
        refusal = next((each.refusals[name] for each in inserts if name in each.refusals), None)
        if refusal is None:
            raise
        raise refusal from error


@lru_cache(maxsize=64)
def _statement(targets: tuple[Target, ...]) -> Statement:
    """The statement that inserts into these tables and updates the heads."""
    rows = (
        f"{_prefix(number)}rows AS ("
        f"{insert_rows(table, columns, prefix=_prefix(number))} {conflict})"
        for number, (table, columns, conflict) in enumerate(targets)
    )
    return statement((f"WITH {', '.join(rows)}" if targets else "") + heads.UPDATE)


def _prefix(number: int) -> str:
    return f"t{number}_"
