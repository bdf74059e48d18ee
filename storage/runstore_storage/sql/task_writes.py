"""task_writes: the results that tasks reported since a snapshot."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from runstore_storage import chain
from runstore_storage.chain import Salt
from runstore_storage.contract.errors import IdempotencyMismatch
from runstore_storage.contract.snapshots import TaskWrite
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import tenant
from runstore_storage.sql import scopes
from runstore_storage.sql.columns import payload_columns, payload_from
from runstore_storage.sql.heads import Ancestor, Head
from runstore_storage.sql.inserts import Insert, Target

_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
_LAST_SEQ = 2**63 - 1
_COLUMNS = (
    ("run", "bigint"),
    ("namespace", "text"),
    ("snapshot_id", "text"),
    ("task_id", "text"),
    ("index", "integer"),
    ("channel", "text"),
    ("payload_json", "json"),
    ("payload_binary", "bytea"),
    ("payload_type", "text"),
    ("salt", "bytea"),
    ("body_hash", "bytea"),
    ("seq", "bigint"),
    ("written_at", "timestamptz"),
)
_TARGET = Target("task_writes", _COLUMNS)
_REPLACING = Target(
    "task_writes",
    _COLUMNS,
    """
    ON CONFLICT ON CONSTRAINT pk_task_writes DO UPDATE SET
        channel = excluded.channel, payload_json = excluded.payload_json,
        payload_binary = excluded.payload_binary, payload_type = excluded.payload_type,
        salt = excluded.salt, body_hash = excluded.body_hash, seq = excluded.seq,
        written_at = excluded.written_at
    """,
)
SELECTED = (
    'task_id, "index", snapshot_id, channel, payload_json::text, payload_binary, payload_type'
)
"""What `task_write` unpacks."""
WITHIN = """
    coalesce(w.seq, 0) <= {part}.last_seq AND (w.written_at IS NULL OR w.written_at <= {part}.until)
"""
"""What a part of a run's history includes of the task writes `w` of its run."""
_SINCE = f"""
    FROM unnest(:numbers::integer[], :namespaces::text[], :snapshot_ids::text[],
                :ages::integer[], :runs::bigint[], :last_seqs::bigint[], :untils::timestamptz[])
         AS asked(number, namespace, snapshot_id, age, run, last_seq, until)
    JOIN task_writes w ON w.run = asked.run AND w.namespace = asked.namespace
        AND w.snapshot_id = asked.snapshot_id AND {WITHIN.format(part="asked")}
    WHERE {scopes.is_own("asked.run")}
"""
_LIST = tenant(f"""
    SELECT number, {SELECTED} FROM (
        SELECT DISTINCT ON (number, task_id, "index") number, w.* {_SINCE}
        ORDER BY number, task_id, "index", age DESC
    ) AS newest ORDER BY number, task_id, "index"
""")
_SIZES = tenant(f"""
    SELECT number, sum(coalesce(octet_length(payload_json::text), octet_length(payload_binary), 0))
                   ::bigint AS bytes
    {_SINCE} GROUP BY number
""")
_DELETE = tenant(f"""
    WITH gone AS (
        DELETE FROM task_writes
        WHERE run = :run AND namespace = :namespace AND snapshot_id = ANY(:ids::text[])
            AND {scopes.HAS_RUN}
        RETURNING 1
    )
    SELECT count(*) FROM gone
""")


def put(
    head: Head,
    at: datetime,
    namespace: str,
    writes: Sequence[TaskWrite],
    stored: Sequence[tuple[Salt, bytes] | None],
    salts: Sequence[Salt],
) -> Insert | None:
    """What stores the writes, given the hashes of those in their places; None if all are stored.

    Raise `IdempotencyMismatch` for another result of a task in the place of a stored one.
    """
    new = []
    for write, before, salt in zip(writes, stored, salts, strict=True):
        body_hash = chain.task_write_hash(write)
        if before is not None and before[1] == chain.salted_hash(body_hash, before[0]):
            continue
        if before is not None and write.index >= 0:
            raise IdempotencyMismatch("task write", f"{write.task_id}/{write.index}")
        new.append(
            (
                head.run,
                namespace,
                write.snapshot_id,
                write.task_id,
                write.index,
                write.channel,
                *payload_columns(write.payload),
                salt,
                chain.salted_hash(body_hash, salt),
                head.last_seq,
                at,
            )
        )
    return Insert(_REPLACING if any(stored) else _TARGET, new) if new else None


class Since(NamedTuple):
    """A snapshot, and the runs that have writes since it: how much of each, the oldest first."""

    namespace: str
    snapshot_id: str
    runs: tuple[Ancestor, ...]


def in_history(head: Head, namespace: str, snapshot_id: str) -> Since:
    """What a run's history has since a snapshot, up to the head's last seq."""
    itself = Ancestor(head.run, head.last_seq, _FOREVER)
    runs = (replace(each, last_seq=min(each.last_seq, head.last_seq)) for each in head.lineage)
    return Since(namespace, snapshot_id, (*runs, itself))


def of_run(run: int, namespace: str, snapshot_id: str) -> Since:
    """What one run has since a snapshot of its own."""
    return Since(namespace, snapshot_id, (Ancestor(run, _LAST_SEQ, _FOREVER),))


async def since(conn: Connection, asked: Sequence[Since]) -> list[tuple[TaskWrite, ...]]:
    """The writes since each snapshot, by task_id and index."""
    found: list[list[TaskWrite]] = [[] for _ in asked]
    for number, *selected in await conn.execute(_LIST, _parameters(asked)):
        found[number].append(task_write(selected))
    return [tuple(writes) for writes in found]


def task_write(selected: Iterable[Any]) -> TaskWrite:
    """The task write of the columns of `SELECTED`."""
    task_id, index, snapshot_id, channel, *payload = selected
    return TaskWrite(task_id, index, snapshot_id, channel, payload_from(*payload))


async def sizes(conn: Connection, asked: Sequence[Since]) -> list[int]:
    """How many bytes of payloads the writes since each snapshot have, at most."""
    found = {row["number"]: row["bytes"] for row in await conn.execute(_SIZES, _parameters(asked))}
    return [found.get(number, 0) for number in range(len(asked))]


def _parameters(asked: Sequence[Since]) -> dict[str, object]:
    rows = [
        (number, each.namespace, each.snapshot_id, age, part.run, part.last_seq, part.until)
        for number, each in enumerate(asked)
        for age, part in enumerate(each.runs)
    ]
    names = ("numbers", "namespaces", "snapshot_ids", "ages", "runs", "last_seqs", "untils")
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return dict(zip(names, map(list, columns), strict=True))


async def delete(conn: Connection, run: int, namespace: str, snapshot_ids: Collection[str]) -> int:
    """Delete the run's own writes since the snapshots; the number of them."""
    values = {"run": run, "namespace": namespace, "ids": list(snapshot_ids)}
    deleted: int = (await conn.execute(_DELETE, values)).scalar_one()
    return deleted
