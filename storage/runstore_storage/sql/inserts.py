"""Rows of several tables and the heads they belong to, stored by one statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import asyncpg

from runstore_storage.contract.errors import StorageError
from runstore_storage.contract.scope import ScopeMismatch
from runstore_storage.database.connection import Connection, Rows
from runstore_storage.database.failures import violated
from runstore_storage.database.statements import Statement, tenants
from runstore_storage.sql import heads
from runstore_storage.sql.columns import Columns, by_column, insert_rows
from runstore_storage.sql.heads import Changed, Head

_IS_AS_SEEN = """
    AND h.xmin = :version::xid AND h.updated_at = :seen_at::timestamptz
    AND h.last_hash = :seen_hash::bytea
"""
_CHANGED = f"""changed AS (
    {heads.UPDATE} {{where}} RETURNING h.run, h.xmin AS version, clock_timestamp() AS at
)"""


class Target(NamedTuple):
    """Where rows go, and what happens to those that are there: `conflict` ends the INSERT."""

    table: str
    columns: Columns
    conflict: str = ""
    overriding: str = ""


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows to be stored; `refusals` are raised where they break the constraint of that name."""

    target: Target
    rows: Sequence[Sequence[object]]
    refusals: Mapping[str, StorageError] = field(default_factory=dict)


class Version(NamedTuple):
    """What a head's row is known by until it changes, and the database's time when it was made."""

    number: int
    at: datetime


async def store(
    conn: Connection, inserts: Sequence[Insert], changed: Sequence[Changed]
) -> Version | None:
    """Store the rows of runs whose heads are changed, and the heads as they are now.

    The heads are locked. Returns their version, which is that of all, None where no head was
    changed. Raise `ScopeMismatch` if one is not of its scope.
    """
    storing = _statement(_targets(inserts))
    try:
        rows = await _store(conn, storing, inserts, {**heads.parameters(changed)})
    except asyncpg.IntegrityConstraintViolationError as error:
        name = violated(error)
        refusal = next((each.refusals[name] for each in inserts if name in each.refusals), None)
        if refusal is None:
            raise
        raise refusal from error
    if len(rows) < len(changed):
        raise ScopeMismatch
    return _version(rows)


async def store_if(
    conn: Connection, inserts: Sequence[Insert], changed: Changed, version: int, seen: Head
) -> Version | None:
    """Store the rows and the head if it still has this version; None where it has another.

    The version is the number of a transaction. After a failover that lost transactions their
    numbers are given again, so the head has to be as it was `seen`, too.

    Updating it takes its row lock, so it queues the writers of a run exactly as `heads.lock` does.
    A constraint that a row breaks is the driver's error, as what was known of it is not certain.
    """
    values = {
        **heads.parameters([changed]),
        "version": version,
        "seen_at": seen.updated_at,
        "seen_hash": seen.last_hash,
    }
    storing = _statement(_targets(inserts), where=_IS_AS_SEEN)
    return _version(await _store(conn, storing, inserts, values))


def _version(rows: Rows) -> Version | None:
    return Version(*rows[0]) if rows else None


async def _store(
    conn: Connection, storing: Statement, inserts: Sequence[Insert], values: dict[str, object]
) -> Rows:
    for number, each in enumerate(inserts):
        values |= by_column(each.target.columns, each.rows, prefix=_prefix(number))
    return await conn.execute(storing, values)


@lru_cache(maxsize=128)
def _statement(targets: tuple[Target, ...], *, where: str = "") -> Statement:
    """The statement that updates the heads that are so, and inserts the rows of their runs."""
    parts = ", ".join([_CHANGED.format(where=where), *_inserting(targets)])
    return tenants(f"WITH {parts} SELECT version, at FROM changed")


def _inserting(targets: Sequence[Target]) -> Iterator[str]:
    """The parts of a statement that insert into these tables."""
    for number, (table, columns, conflict, overriding) in enumerate(targets):
        prefix = _prefix(number)
        rows = insert_rows(table, columns, prefix=prefix, overriding=overriding)
        yield f"{prefix}rows AS ({rows} JOIN changed ON changed.run = new.run {conflict})"


def _targets(inserts: Sequence[Insert]) -> tuple[Target, ...]:
    return tuple(each.target for each in inserts)


def _prefix(number: int) -> str:
    return f"t{number}_"
