"""run_heads: the one small row of a run that changes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from runstore_storage.contract.errors import RunNotFound
from runstore_storage.contract.events import Usage
from runstore_storage.contract.heads import Outcome, RunKey, RunStatus
from runstore_storage.contract.scope import Scope, ScopedKey, own
from runstore_storage.contract.times import microseconds, time_at
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant, tenants
from runstore_storage.sql import scopes
from runstore_storage.sql.columns import (
    USAGE,
    by_column,
    names_of,
    new_rows,
    usage_columns,
    usage_of,
)

COLUMNS = (
    ("run", "bigint"),
    ("last_seq", "bigint"),
    ("last_hash", "bytea"),
    ("status", "smallint"),
    ("outcome", "smallint"),
    ("writer_epoch", "bigint"),
    *((name, "bigint") for name in USAGE),
    ("updated_at", "timestamptz"),
    ("completed_at", "timestamptz"),
)
# No write of a head touches how far the run is archived.
SELECTED = ", ".join(f"h.{name}" for name in (*(name for name, _ in COLUMNS), "archived_through"))
"""What `head_of` reads."""
IS_OPEN = f"x.completed_at IS NULL AND x.status <> {RunStatus.EXTERNAL:d}"
"""The condition that a run with the head `x` may still be written to, as far as we decide that."""


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A run that a fork's history begins with: its events up to `last_seq`, and the snapshots and
    task writes that were put beside them until a time.

    `has_events` is False where the fork's base is before the run's own first event.
    """

    run: int
    last_seq: int
    until: datetime
    has_events: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """Events `first_seq`..`last_seq` of a history, all rows of one run; may be empty."""

    run: int
    first_seq: int
    last_seq: int


class Head(NamedTuple):
    """How far a run has grown, and its state.

    A named tuple: each recorded event makes a new one, and a frozen dataclass would take ten times
    as long to make.
    """

    run: int
    last_seq: int
    last_hash: bytes
    status: RunStatus
    outcome: Outcome
    writer_epoch: int
    usage: Usage
    updated_at: datetime
    completed_at: datetime | None
    lineage: tuple[Ancestor, ...] = ()
    archived_through: int = 0
    """The last of the run's own events that is in the archive only, 0 if none is."""

    @property
    def segments(self) -> Iterator[Segment]:
        """The run's history, oldest segment first; its own is the last."""
        first = 1
        for each in self.lineage:
            if not each.has_events:
                continue
            yield Segment(each.run, first, min(each.last_seq, self.last_seq))
            first = each.last_seq + 1
        yield Segment(self.run, first, self.last_seq)

    @property
    def is_completed(self) -> bool:
        return self.completed_at is not None

    def grown(self, seq: int, link: bytes, at: datetime, usage: Usage | None) -> Head:
        """The head after one more event."""
        return Head(
            self.run,
            seq,
            link,
            self.status,
            self.outcome,
            self.writer_epoch,
            self.usage + usage if usage else self.usage,
            at,
            self.completed_at,
            self.lineage,
            self.archived_through,
        )


class Changed(NamedTuple):
    """A head as it is to be stored, in the scope of the write that changed it."""

    scope: Scope
    head: Head


_FIND = tenant(f"""
    SELECT {SELECTED}, r.lineage::text
    FROM runs r JOIN run_heads h USING (run)
    WHERE r.project = :project AND {scopes.ASKED_FOR} AND r.run_id = :run_id
""")

# Locked in the order of `run`, so that two batches never wait for each other in a circle.
_ASKED = """
    FROM unnest(:scopes::text[], :projects::text[], :run_ids::text[])
        AS asked(scope, project, run_id)
    JOIN runs r
        ON r.project = asked.project AND r.project = asked.scope AND r.run_id = asked.run_id
    JOIN run_heads h ON h.run = r.run
"""
_LOCK = tenants(f"""
    SELECT r.project, r.run_id, clock_timestamp() AS now, {SELECTED}, r.lineage::text
    {_ASKED}
    ORDER BY h.run FOR NO KEY UPDATE OF h
""")

_PREFIX = "head_"
UPDATE = f"""
    UPDATE run_heads h SET {", ".join(f"{name} = new.{name}" for name, _ in COLUMNS[1:])}
    FROM {new_rows((*COLUMNS, ("scope", "text")), prefix=_PREFIX)}
    WHERE h.run = new.run AND {scopes.MOVED}
"""
"""Stores changed heads; `parameters` are its parameters."""
_UPDATE = tenants(UPDATE)

_INSERT = tenant(f"""
    INSERT INTO run_heads ({names_of(COLUMNS)})
    VALUES ({scopes.RUN}, {", ".join(f":{name}" for name, _ in COLUMNS[1:])})
""")

_ARCHIVE = tenant("""
    UPDATE run_heads SET archived_through = :through WHERE run = :run AND project = :scope
    RETURNING run
""")

_LAST_SEQS = tenants(f"""
    SELECT r.project, r.run_id, h.last_seq, h.completed_at IS NOT NULL AS is_completed {_ASKED}
""")


async def find(conn: Connection, key: RunKey) -> Head | None:
    """The head as committed, without a lock."""
    found = await conn.execute(_FIND, {"project": key.project, "run_id": key.run_id})
    row = found.one_or_none()
    return with_lineage(row) if row else None


async def get(conn: Connection, key: RunKey) -> Head:
    """The head as committed, without a lock; raise `RunNotFound` where there is no such run."""
    head = await find(conn, key)
    if head is None:
        raise RunNotFound(key)
    return head


async def lock(
    conn: Connection, runs: Collection[ScopedKey]
) -> tuple[dict[ScopedKey, Head], datetime | None]:
    """Lock the heads of the runs that their scopes have, and read the database's clock.

    The locks queue the writers of a run, so seqs commit in their order.
    """
    rows = await conn.execute(_LOCK, _arrays(runs))
    heads = {_found(row): with_lineage(row) for row in rows}
    return heads, rows[0]["now"] if rows else None


async def update(conn: Connection, changed: Changed) -> None:
    """Store a changed head."""
    await conn.execute(_UPDATE, parameters([changed]))


def parameters(changed: Sequence[Changed]) -> dict[str, list[object]]:
    """The parameters of `UPDATE`."""
    values = by_column(COLUMNS, (_row(each.head) for each in changed), prefix=_PREFIX)
    return values | {f"{_PREFIX}scope": [each.scope.project for each in changed]}


async def archive(conn: Connection, run: int, through: int) -> None:
    """Have the run's events up to `through` read from the archive; the head is locked."""
    (await conn.execute(_ARCHIVE, {"run": run, "through": through})).one()


async def insert(conn: Connection, head: Head) -> None:
    """Store the head of a new run."""
    names = (name for name, _ in COLUMNS)
    await conn.execute(_INSERT, dict(zip(names, _row(head), strict=True)))


async def last_seqs(
    conn: Connection, runs: Collection[ScopedKey]
) -> dict[ScopedKey, tuple[int, bool]]:
    """The last seq of each run that its scope has, and whether it is completed."""
    found = await conn.execute(_LAST_SEQS, _arrays(runs))
    return {_found(row): (row["last_seq"], row["is_completed"]) for row in found}


def head_of(row: Row) -> Head:
    """The head in a row with the columns of `SELECTED`; the lineage is not among them."""
    return Head(
        run=row["run"],
        last_seq=row["last_seq"],
        last_hash=row["last_hash"],
        status=RunStatus(row["status"]),
        outcome=Outcome(row["outcome"]),
        writer_epoch=row["writer_epoch"],
        usage=usage_of(row),
        updated_at=row["updated_at"],
        completed_at=row["completed_at"],
        archived_through=row["archived_through"],
    )


def lineage_json(lineage: Sequence[Ancestor]) -> str:
    """A lineage as `runs` keeps it."""
    return json.dumps(
        [[each.run, each.last_seq, microseconds(each.until), each.has_events] for each in lineage]
    )


def with_lineage(row: Row) -> Head:
    """The head in a row with the columns of `SELECTED` and the run's `lineage` as text."""
    head = head_of(row)
    if not row["lineage"]:
        return head
    lineage = tuple(
        Ancestor(run, last_seq, time_at(until), has_events)
        for run, last_seq, until, has_events in json.loads(row["lineage"])
    )
    return head._replace(lineage=lineage)


def _arrays(runs: Collection[ScopedKey]) -> dict[str, list[str]]:
    return {
        "scopes": [scope.project for scope, _ in runs],
        "projects": [key.project for _, key in runs],
        "run_ids": [key.run_id for _, key in runs],
    }


def _found(row: Row) -> ScopedKey:
    """What a run was asked for by: its scope has no other run's project."""
    return own(RunKey(row["project"], row["run_id"]))


def _row(head: Head) -> tuple[object, ...]:
    return (
        head.run,
        head.last_seq,
        head.last_hash,
        int(head.status),
        int(head.outcome),
        head.writer_epoch,
        *usage_columns(head.usage),
        head.updated_at,
        head.completed_at,
    )
