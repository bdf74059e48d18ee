"""Appends to runs whose heads are believed to be known: one statement, which is its transaction.

It updates the heads that are still as believed, if none of their events was archived, inserts the
events of those runs, and adds them to the outbox; the other runs' events are left out. Updating a
head takes its row lock, so it queues the writers of a run exactly as `heads.lock` does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from runstore_storage.contract.scope import Scope
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import Statement, tenants
from runstore_storage.sql import events, scopes
from runstore_storage.sql.columns import (
    USAGE,
    arrays,
    by_column,
    names_of,
    new_rows,
    usage_columns,
    values_of,
)
from runstore_storage.sql.events import NewEvent
from runstore_storage.sql.heads import Head

_HEADS = (
    ("run", "bigint"),
    ("scope", "text"),
    ("was_seq", "bigint"),
    ("was_hash", "bytea"),
    ("writer_epoch", "bigint"),
    ("last_seq", "bigint"),
    ("last_hash", "bytea"),
    ("updated_at", "timestamptz"),
)
_TOTALS = tuple((name, "bigint") for name in USAGE)
_HEAD_PARAMETERS = tuple(f"head_{name}" for name, _ in (*_HEADS, *_TOTALS))
# What the statement sets itself.
_SET = ("recorded_at", "is_terminal")
# What a column that is left out holds: most events leave most of these empty, and the driver spends
# as long on an empty value as on a full one.
_EMPTY = {
    **dict.fromkeys(("node_id", "actor", "model", "tool", "trace_parent"), ""),
    **dict.fromkeys(("payload_json", "payload_binary", "payload_type", "payload_blob"), None),
    **dict.fromkeys(USAGE, None),
    "occurred_at": None,
    "tags": "{}",
    "subjects": None,
    "salt": None,
}


EventColumns = dict[str, list[Any]]
"""New events, column by column; a column that is not there is empty for all of them."""


@dataclass(frozen=True, slots=True)
class Move:
    """A head as it is believed to be, what it becomes, and the events between.

    It is the head of a run of the scope's project, or not moved.
    """

    scope: Scope
    was: Head
    head: Head
    new: Sequence[NewEvent] | EventColumns


_APPEND = """
    WITH moved AS (
        UPDATE run_heads h SET
            {totals} last_seq = new.last_seq, last_hash = new.last_hash,
            updated_at = greatest(h.updated_at, new.updated_at)
        FROM {heads}
        WHERE h.run = new.run AND {of_scope}
            AND h.last_seq = new.was_seq AND h.last_hash = new.was_hash
            AND h.archived_through = 0
            AND h.writer_epoch = new.writer_epoch AND h.completed_at IS NULL
        RETURNING h.run, new.was_seq, new.last_seq, new.updated_at AS recorded_at
    ), added AS (
        INSERT INTO events ({columns}, recorded_at, is_terminal)
        SELECT {values}, moved.recorded_at, false
        FROM {events} JOIN moved ON moved.run = new.run
    ), noted AS (
        INSERT INTO outbox (run, first_seq, last_seq)
        SELECT run, was_seq + 1, last_seq FROM moved
    )
    SELECT array(SELECT run FROM moved) AS runs, clock_timestamp() AS now
"""


async def append(conn: Connection, moves: Sequence[Move]) -> tuple[Collection[int], datetime]:
    """Store the events of those runs that are as believed; which runs, and the database's time."""
    in_order = sorted(moves, key=lambda move: move.head.run)
    kept = {
        name: values
        for name, values in _columns(in_order).items()
        if name not in _SET and not (name in _EMPTY and values.count(_EMPTY[name]) == len(values))
    }
    # Where no event has usage, the totals stay.
    names = _HEAD_PARAMETERS if USAGE[0] in kept else _HEAD_PARAMETERS[: len(_HEADS)]
    values = dict(zip(names, arrays([_row(move) for move in in_order]), strict=False)) | kept
    row = (await conn.execute(_statement(tuple(kept)), values)).one()
    return frozenset(row["runs"]), row["now"]


def _columns(moves: Sequence[Move]) -> EventColumns:
    """The columns of all events: those of rows, then those that are columns already."""
    rows: list[NewEvent] = []
    laid_out: list[EventColumns] = []
    for move in moves:
        if isinstance(move.new, dict):
            laid_out.append(move.new)
        else:
            rows += move.new
    columns = by_column(events.NEW_COLUMNS, [events.new_row(each, {}) for each in rows])
    count = len(rows)
    for each in laid_out:
        for name, values in each.items():
            _fill(columns, name, count)
            columns[name] += values
        count += len(each["run"])
    for name in _EMPTY:
        _fill(columns, name, count)
    return columns


def _fill(columns: EventColumns, name: str, count: int) -> None:
    if missing := count - len(columns[name]):
        columns[name] += [_EMPTY[name]] * missing


@lru_cache(maxsize=256)
def _statement(names: tuple[str, ...]) -> Statement:
    """The statement that sets these columns of the events."""
    totals = _TOTALS if USAGE[0] in names else ()
    columns = [each for each in events.NEW_COLUMNS if each[0] in names]
    return tenants(
        _APPEND.format(
            totals="".join(f"{name} = new.{name}," for name, _ in totals),
            of_scope=scopes.MOVED,
            heads=new_rows((*_HEADS, *totals), prefix="head_"),
            columns=names_of(columns),
            values=values_of(columns),
            events=new_rows(columns),
        )
    )


def _row(move: Move) -> tuple[object, ...]:
    head = move.head
    return (
        head.run,
        move.scope.project,
        move.was.last_seq,
        move.was.last_hash,
        head.writer_epoch,
        head.last_seq,
        head.last_hash,
        head.updated_at,
        *usage_columns(head.usage),
    )
