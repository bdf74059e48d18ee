"""task_writes: the results that tasks reported since a snapshot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from runstore_storage import chain
from runstore_storage.contract.errors import IdempotencyMismatch
from runstore_storage.contract.snapshots import TaskWrite
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import statement
from runstore_storage.sql.columns import by_column, insert_rows, payload_columns, payload_of
from runstore_storage.sql.heads import Head

_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
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
    ("body_hash", "bytea"),
    ("seq", "bigint"),
    ("written_at", "timestamptz"),
)
_PUT = statement(f"""
    {insert_rows("task_writes", _COLUMNS)}
    ON CONFLICT ON CONSTRAINT pk_task_writes DO UPDATE SET
        channel = excluded.channel, payload_json = excluded.payload_json,
        payload_binary = excluded.payload_binary, payload_type = excluded.payload_type,
        body_hash = excluded.body_hash, seq = excluded.seq, written_at = excluded.written_at
""")
_FIND = statement("""
    SELECT w.snapshot_id, w.task_id, w."index", w.body_hash
    FROM unnest(:snapshot_ids::text[], :task_ids::text[], :indexes::integer[])
         AS asked(snapshot_id, task_id, "index")
    JOIN task_writes w ON w.run = :run AND w.namespace = :namespace
        AND w.snapshot_id = asked.snapshot_id AND w.task_id = asked.task_id
        AND w."index" = asked."index"
""")
_LIST = statement("""
    SELECT task_id, "index", snapshot_id, channel, payload_json::text, payload_binary, payload_type
    FROM (
        SELECT DISTINCT ON (task_id, "index") w.*
        FROM task_writes w
        JOIN unnest(:runs::bigint[], :last_seqs::bigint[], :untils::timestamptz[])
             WITH ORDINALITY AS part(run, last_seq, until, age) ON w.run = part.run
        WHERE w.namespace = :namespace AND w.snapshot_id = :snapshot_id
          AND coalesce(w.seq, 0) <= least(part.last_seq, :at_seq)
          AND (w.written_at IS NULL OR w.written_at <= part.until)
        ORDER BY task_id, "index", age DESC
    ) AS newest ORDER BY task_id, "index"
""")
_DELETE = statement("""
    WITH gone AS (
        DELETE FROM task_writes
        WHERE run = :run AND namespace = :namespace AND snapshot_id = ANY(:ids::text[])
        RETURNING 1
    )
    SELECT count(*) FROM gone
""")


async def put(
    conn: Connection, head: Head, at: datetime, namespace: str, writes: Sequence[TaskWrite]
) -> bool:
    """Store the writes, under the run's lock; True when all of them were stored before."""
    run = head.run
    known = await _find(conn, run, namespace, writes)
    hashes = [chain.task_write_hash(write) for write in writes]
    new = []
    for write, body_hash in zip(writes, hashes, strict=True):
        before = known.get((write.snapshot_id, write.task_id, write.index))
        if before == body_hash:
            continue
        if before is not None and write.index >= 0:
            raise IdempotencyMismatch("task write", f"{write.task_id}/{write.index}")
        new.append(
            (
                run,
                namespace,
                write.snapshot_id,
                write.task_id,
                write.index,
                write.channel,
                *payload_columns(write.payload),
                body_hash,
                head.last_seq,
                at,
            )
        )
    if new:
        await conn.execute(_PUT, by_column(_COLUMNS, new))
    return not new


async def since(
    conn: Connection, head: Head, namespace: str, snapshot_id: str
) -> tuple[TaskWrite, ...]:
    """The writes since a snapshot up to the head's last seq, by task_id and index."""
    found = await conn.execute(
        _LIST,
        {
            "runs": [*(each.run for each in head.lineage), head.run],
            "last_seqs": [*(each.last_seq for each in head.lineage), head.last_seq],
            "untils": [*(each.until for each in head.lineage), _FOREVER],
            "namespace": namespace,
            "snapshot_id": snapshot_id,
            "at_seq": head.last_seq,
        },
    )
    return tuple(
        TaskWrite(
            row["task_id"],
            row["index"],
            row["snapshot_id"],
            row["channel"],
            payload_of(row, "payload"),
        )
        for row in found
    )


async def delete(conn: Connection, run: int, namespace: str, snapshot_ids: Collection[str]) -> int:
    """Delete the run's own writes since the snapshots; the number of them."""
    values = {"run": run, "namespace": namespace, "ids": list(snapshot_ids)}
    deleted: int = (await conn.execute(_DELETE, values)).scalar_one()
    return deleted


async def _find(
    conn: Connection, run: int, namespace: str, writes: Sequence[TaskWrite]
) -> dict[tuple[str, str, int], bytes]:
    found = await conn.execute(
        _FIND,
        {
            "run": run,
            "namespace": namespace,
            "snapshot_ids": [write.snapshot_id for write in writes],
            "task_ids": [write.task_id for write in writes],
            "indexes": [write.index for write in writes],
        },
    )
    return {(row["snapshot_id"], row["task_id"], row["index"]): row["body_hash"] for row in found}
