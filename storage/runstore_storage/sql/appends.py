"""Appends to runs whose heads are believed to be known: one statement, a transaction of its own.

It changes the heads that are still as they were believed to be, adds the events of those runs and
notes them for publication. The other runs' events are left out. A head's row lock, taken by its
update, queues the writers of a run exactly as `heads.lock` does.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import asyncpg

from runstore_storage.sql import events
from runstore_storage.sql.columns import USAGE, arrays, new_rows, usage_columns
from runstore_storage.sql.events import NewEvent
from runstore_storage.sql.heads import Head

_HEADS = (
    ("run", "bigint"),
    ("was_seq", "bigint"),
    ("was_hash", "bytea"),
    ("writer_epoch", "bigint"),
    ("last_seq", "bigint"),
    ("last_hash", "bytea"),
    ("updated_at", "timestamptz"),
)
_USAGE = tuple((name, "bigint") for name in USAGE)
# Set for all events of a run at once.
_COMMON = {"recorded_at": "moved.recorded_at", "is_terminal": "false"}
# What columns hold that are left out: most events leave most of these empty, and the driver spends
# as long on an empty value as on a full one.
_EMPTY = {
    **dict.fromkeys(("node_id", "actor", "model", "tool", "trace_parent"), ""),
    **dict.fromkeys(("payload_json", "payload_binary", "payload_type", "payload_blob"), None),
    **dict.fromkeys(USAGE, None),
    "occurred_at": None,
    "tags": "{}",
}


@dataclass(frozen=True, slots=True)
class Move:
    """A head as it is believed to be, what it becomes, and the events between."""

    was: Head
    head: Head
    new: Sequence[NewEvent]


async def append(
    conn: asyncpg.Connection, moves: Sequence[Move]
) -> tuple[Collection[int], datetime]:
    """Store the events of the runs that are as believed: those runs, and the database's clock."""
    in_order = sorted(moves, key=lambda move: move.head.run)
    columns = arrays([events.new_row(each, {}) for move in in_order for each in move.new])
    kept = {
        name: values
        for (name, _), values in zip(events.NEW_COLUMNS, columns, strict=True)
        if name not in _COMMON
        and not (name in _EMPTY and values.count(_EMPTY[name]) == len(values))
    }
    heads = arrays([_row(move) for move in in_order])
    if USAGE[0] not in kept:  # no event has any, so the totals stay
        heads = heads[: len(_HEADS)]
    found = await conn.fetchrow(_statement(tuple(kept)), *heads, *kept.values())
    assert found
    return frozenset(found[0]), found[1]


@lru_cache(maxsize=256)
def _statement(names: tuple[str, ...]) -> str:
    """The statement that sets these columns of the events."""
    usage = [column for column in _USAGE if column[0] in names]
    _, heads = new_rows((*_HEADS, *usage), first=1)
    columns = [column for column in events.NEW_COLUMNS if column[0] in names]
    values, rows = new_rows(columns, first=len(_HEADS) + len(usage) + 1)
    return f"""
        WITH moved AS (
            UPDATE run_heads h SET
                last_seq = new.last_seq, last_hash = new.last_hash,
                {"".join(f"{name} = new.{name}, " for name, _ in usage)}
                updated_at = greatest(h.updated_at, new.updated_at)
            FROM {heads}
            WHERE h.run = new.run AND h.last_seq = new.was_seq AND h.last_hash = new.was_hash
                AND h.writer_epoch = new.writer_epoch AND h.completed_at IS NULL
            RETURNING h.run, new.was_seq, new.last_seq, new.updated_at AS recorded_at
        ), added AS (
            INSERT INTO events ({", ".join((*names, *_COMMON))})
            SELECT {values}, {", ".join(_COMMON.values())}
            FROM {rows} JOIN moved ON moved.run = new.run
        ), noted AS (
            INSERT INTO outbox (run, first_seq, last_seq)
            SELECT run, was_seq + 1, last_seq FROM moved
        )
        SELECT array(SELECT run FROM moved), clock_timestamp()
    """


def _row(move: Move) -> tuple[object, ...]:
    head = move.head
    return (
        head.run,
        move.was.last_seq,
        move.was.last_hash,
        head.writer_epoch,
        head.last_seq,
        head.last_hash,
        head.updated_at,
        *usage_columns(head.usage),
    )
