"""events: the facts of all runs, partitioned by run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runstore_storage import chain
from runstore_storage.contract.event_rows import PAYLOAD_BYTES, EventRows
from runstore_storage.contract.events import Erased, Event, EventFilter, RecordedEvent, Usage
from runstore_storage.contract.scope import Scope
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant, tenants
from runstore_storage.sql import scopes
from runstore_storage.sql.blobs import NewBlob
from runstore_storage.sql.columns import (
    USAGE,
    array_literal,
    offloaded_columns,
    payload_columns,
    stored_payload,
    usage_columns,
)
from runstore_storage.sql.inserts import Insert, Target

NEW_COLUMNS = (
    ("run", "bigint"),
    ("seq", "bigint"),
    ("event_id", "text"),
    ("type", "text"),
    ("node_id", "text"),
    ("actor", "text"),
    ("model", "text"),
    ("tool", "text"),
    ("tags", "text[]"),
    ("payload_json", "json"),
    ("payload_binary", "bytea"),
    ("payload_type", "text"),
    ("payload_bytes", "integer"),
    ("payload_blob", "bigint"),
    ("subjects", "text[]"),
    ("salt", "bytea"),
    *((name, "bigint") for name in USAGE),
    ("trace_parent", "text"),
    ("occurred_at", "timestamptz"),
    ("recorded_at", "timestamptz"),
    ("is_terminal", "boolean"),
    ("body_hash", "bytea"),
    ("hash", "bytea"),
)
_TARGET = Target("events", NEW_COLUMNS)

SELECTED = f"""
    run, seq, recorded_at, hash, event_id, type, node_id, actor, model, tool, tags, trace_parent,
    occurred_at, payload_json::text, payload_binary, payload_type, payload_bytes, payload_blob,
    subjects, salt,
    CASE WHEN salt IS NULL AND payload_type IS NULL THEN (
        SELECT (x.erased_at, x.sealed, measured.body_hash) FROM erasures x
        WHERE x.run = measured.run AND x.seq = measured.seq
    ) END,
    {", ".join(USAGE)}
"""
"""What `recorded_event` unpacks of rows called `measured`, in the order of an `EventRow`.

Only events that have neither a salt nor a payload are looked up among those that were erased.
"""
_PAYLOAD_BLOB = PAYLOAD_BYTES + 1

# Large payloads stay in TOAST until the outer query lets them through, so a page reads what it
# returns and no more.
_PAGE = f"""
    SELECT {SELECTED} FROM (
        SELECT *, sum(payload_bytes) OVER (ORDER BY seq) - payload_bytes AS bytes_before FROM (
            SELECT * FROM events
            WHERE run = :run AND seq BETWEEN :from_seq AND :to_seq {{where}} AND {scopes.HAS_EVENTS}
            ORDER BY seq LIMIT :limit
        ) AS page
    ) AS measured WHERE bytes_before < :max_bytes ORDER BY seq
"""

_FIND_IN = """
    SELECT e.run, e.event_id, e.seq, e.recorded_at, e.hash, e.salt, e.body_hash, x.sealed
    FROM unnest(:scopes::text[], :runs::bigint[], :ids::text[]) AS asked(scope, run, event_id)
    JOIN {table} e ON e.run = asked.run AND e.event_id = asked.event_id
    LEFT JOIN erasures x ON x.run = e.run AND x.seq = e.seq
    WHERE EXISTS (SELECT FROM runs r WHERE r.run = asked.run AND r.project = asked.scope)
"""
_FIND = tenants(_FIND_IN.format(table="events"))
_FIND_ALL = tenants(
    f"{_FIND_IN.format(table='events')} UNION ALL {_FIND_IN.format(table='archived_events')}"
)

_HASH_IN = f"SELECT hash FROM {{table}} WHERE run = :run AND seq = :seq AND {scopes.HAS_RUN}"
_HASH_AT = tenant(
    f"{_HASH_IN.format(table='events')} UNION ALL {_HASH_IN.format(table='archived_events')}"
)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event about to be inserted, with its seq and hash."""

    run: int
    recorded: RecordedEvent
    body_hash: bytes
    is_terminal: bool
    blob: NewBlob | None = None


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """What a repeated event is compared with and answered by."""

    seq: int
    recorded_at: datetime
    hash: bytes
    salt: bytes | None
    body_hash: bytes
    sealed: bytes | None = None
    """The hash of what was erased of it."""

    def states(self, event: Event) -> bool:
        """Whether it is this event; where it was erased, only what was not is compared."""
        if self.sealed is not None:
            return self.body_hash == chain.open_event_hash(event, self.sealed)
        return self.body_hash == chain.event_hash(event, self.salt)


def insert(new: Sequence[NewEvent], blobs: Mapping[tuple[int, bytes], int]) -> Insert:
    """What inserts events of any runs; `blobs` are the numbers of theirs."""
    return Insert(_TARGET, [new_row(each, blobs) for each in new])


def new_row(new: NewEvent, blobs: Mapping[tuple[int, bytes], int]) -> tuple[object, ...]:
    """The values of `NEW_COLUMNS`; `blobs` are the numbers of the events' blobs."""
    recorded, event = new.recorded, new.recorded.event
    return (
        new.run,
        recorded.seq,
        event.event_id,
        event.type,
        event.node_id,
        event.actor,
        event.model,
        event.tool,
        array_literal(event.tags) if event.tags else "{}",
        *(offloaded_columns(event.payload) if new.blob else payload_columns(event.payload)),
        len(event.payload.data) if event.payload else 0,
        blobs[new.run, new.blob.sha256] if new.blob else None,
        array_literal(event.subjects) if event.subjects else None,
        recorded.salt,
        *usage_columns(event.usage),
        event.trace_parent,
        event.occurred_at,
        recorded.recorded_at,
        new.is_terminal,
        new.body_hash,
        recorded.hash,
    )


async def find(
    conn: Connection, ids: Collection[tuple[Scope, int, str]], *, archived: bool
) -> dict[tuple[int, str], KnownEvent]:
    """The events, among (scope, run, event_id), that are there, by run and event_id.

    If some may be `archived`, those are found, too.
    """
    of, runs, event_ids = zip(*ids, strict=True)
    values = {
        "scopes": [scope.project for scope in of],
        "runs": list(runs),
        "ids": list(event_ids),
    }
    found = await conn.execute(_FIND_ALL if archived else _FIND, values)
    return {
        (row["run"], row["event_id"]): KnownEvent(
            row["seq"],
            row["recorded_at"],
            row["hash"],
            row["salt"],
            row["body_hash"],
            row["sealed"],
        )
        for row in found
    }


async def page(
    conn: Connection,
    run: int,
    *,
    from_seq: int,
    to_seq: int,
    limit: int,
    max_bytes: int,
    where: EventFilter,
) -> tuple[Sequence[RecordedEvent], bool]:
    """Selected events in order of seq, and whether the page was cut before `to_seq`.

    The page ends with the event whose payload reaches `max_bytes`. There is none where events from
    `from_seq` on are archived.
    """
    wanted, values = conditions(where)
    rows = await conn.execute(
        tenant(_PAGE.format(where=wanted)),
        {
            "run": run,
            "from_seq": from_seq,
            "to_seq": to_seq,
            "limit": limit,
            "max_bytes": max_bytes,
            **values,
        },
    )
    is_cut = len(rows) == limit or payload_bytes(rows) >= max_bytes
    if all(row[_PAYLOAD_BLOB] is None for row in rows):
        return EventRows(rows, recorded_event), is_cut
    return [recorded_event(row) for row in rows], is_cut


def payload_bytes(rows: Iterable[Row]) -> int:
    """The bytes of all payloads of rows with the columns of `SELECTED`."""
    return sum(row["payload_bytes"] for row in rows)


async def hash_at(conn: Connection, run: int, seq: int) -> bytes | None:
    """The hash of one event, also of one that is archived."""
    found = await conn.execute(_HASH_AT, {"run": run, "seq": seq})
    found_hash: bytes | None = found.scalar_one_or_none()
    return found_hash


def recorded_event(selected: Iterable[Any]) -> RecordedEvent:
    """The event of the columns of `SELECTED`.

    They are unpacked at once: a page has many events, and reading each column of a row by its name
    would take a fifth longer.
    """
    (
        run,
        seq,
        recorded_at,
        hash_,
        event_id,
        type_,
        node_id,
        actor,
        model,
        tool,
        tags,
        trace_parent,
        occurred_at,
        payload_json,
        payload_binary,
        payload_type,
        _payload_bytes,
        payload_blob,
        subjects,
        salt,
        erased,
        input_tokens,
        output_tokens,
        cached_input_tokens,
        cost_micros,
        duration_us,
    ) = selected
    usage = None
    if input_tokens is not None:
        usage = Usage(input_tokens, output_tokens, cached_input_tokens, cost_micros, duration_us)
    event = Event(
        type=type_,
        event_id=event_id,
        payload=stored_payload(run, payload_json, payload_binary, payload_type, payload_blob),
        node_id=node_id,
        actor=actor,
        model=model,
        tool=tool,
        tags=tuple(tags),
        trace_parent=trace_parent,
        # asyncpg takes the first and last instants for infinity, and returns them naive.
        occurred_at=occurred_at and occurred_at.replace(tzinfo=UTC),
        usage=usage,
        subjects=tuple(subjects or ()),
    )
    return RecordedEvent(seq, recorded_at, hash_, event, salt, Erased(*erased) if erased else None)


def conditions(where: EventFilter) -> tuple[str, dict[str, object]]:
    """Conditions on events, each after an AND, and their parameters."""
    possible = {
        "types": ("type = ANY(:types)", where.types),
        "node_ids": ("node_id = ANY(:node_ids)", where.node_ids),
        "tags": ("tags @> :tags", where.tags),
    }
    asked = {name: (sql, list(values)) for name, (sql, values) in possible.items() if values}
    return (
        "".join(f" AND {sql}" for sql, _ in asked.values()),
        {name: values for name, (_, values) in asked.items()},
    )
