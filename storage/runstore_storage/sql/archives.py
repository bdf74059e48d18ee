"""What an archive has of a run beside its events, all of it in a fixed order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from runstore_storage.contract.artifacts import Artifact
from runstore_storage.contract.outputs import StoredOutput
from runstore_storage.contract.snapshots import TaskWrite
from runstore_storage.database.connection import Connection, Row, Rows
from runstore_storage.database.statements import Statement, tenant
from runstore_storage.sql import artifacts, outputs, scopes, snapshots, task_writes
from runstore_storage.sql.columns import payload_of
from runstore_storage.sql.heads import Ancestor, Head
from runstore_storage.sql.snapshots import StoredRow

Values = Mapping[str, object]

_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
# Rows of a page: what is in memory at a time is a page, and some rows have large payloads.
_WIDE, _NARROW = 8, 1000
_LEAST_INDEX = -(2**31)

_PART = "(SELECT :last_seq::bigint AS last_seq, :until::timestamptz AS until) AS part"
_SNAPSHOTS = tenant(f"""
    SELECT {snapshots.SELECTED} FROM snapshots s JOIN runs r ON r.run = s.run
    WHERE s.run = :run AND r.project = :scope AND s.seq <= :last_seq AND s.created_at <= :until
        AND (s.namespace, s.snapshot_id) > (:namespace, :snapshot_id)
    ORDER BY s.namespace, s.snapshot_id LIMIT :limit
""")
_TASK_WRITES = tenant(f"""
    SELECT r.run_id, w.namespace, w.task_id, w."index", w.snapshot_id, w.channel,
           w.payload_json::text, w.payload_binary, w.payload_type,
           w.seq, w.written_at, w.salt, w.body_hash
    FROM task_writes w JOIN runs r ON r.run = w.run
    CROSS JOIN {_PART}
    WHERE w.run = :run AND r.project = :scope AND {task_writes.WITHIN.format(part="part")}
        AND (w.namespace, w.snapshot_id, w.task_id, w."index")
            > (:namespace, :snapshot_id, :task_id, :index::integer)
    ORDER BY w.namespace, w.snapshot_id, w.task_id, w."index" LIMIT :limit
""")
_OUTPUTS = tenant(f"""
    SELECT {outputs.SELECTED}, body_hash FROM outputs
    WHERE run = :run AND revision > :revision::integer AND {scopes.HAS_RUN}
    ORDER BY revision LIMIT :limit
""")
_ARTIFACTS = tenant(f"""
    SELECT {artifacts.SELECTED}, coalesce(o.location, '') AS location
    FROM artifacts a JOIN runs r ON r.run = a.run LEFT JOIN objects o ON o.object = a.object
    WHERE a.run = :run AND r.project = :scope AND (a.name, a.version) > (:name, :version::bigint)
    ORDER BY a.name, a.version LIMIT :limit
""")
_REQUESTS = tenant(f"""
    SELECT request_id, salt, body_hash, answer::text FROM requests
    WHERE run = :run AND request_id > :request_id AND {scopes.HAS_RUN}
    ORDER BY request_id LIMIT :limit
""")
_PARTS = tenant(f"""
    SELECT blob, sha256, raw_bytes FROM blobs
    WHERE run = :run AND blob = ANY(:blobs::bigint[]) AND {scopes.HAS_RUN}
""")


class KeptWrite(NamedTuple):
    """A task write, with the other columns of its row."""

    write: TaskWrite
    run_id: str
    namespace: str
    seq: int | None
    written_at: datetime | None
    salt: bytes | None
    body_hash: bytes


class KeptOutput(NamedTuple):
    """A revision of the output, and its hash as it is kept."""

    stored: StoredOutput
    body_hash: bytes


class KeptArtifact(NamedTuple):
    """An artifact, and where its bytes are in the object store; "" for a link."""

    artifact: Artifact
    location: str


def history(head: Head) -> tuple[Ancestor, ...]:
    """The runs that a run's history is of, and how much of each; the run itself is the last."""
    return (*head.lineage, Ancestor(head.run, head.last_seq, _FOREVER))


async def snapshot_rows(conn: Connection, part: Ancestor) -> AsyncIterator[list[StoredRow]]:
    """Snapshots that a history has of one of its runs."""
    after: Values = {"namespace": "", "snapshot_id": ""}
    async for rows in _pages(conn, _SNAPSHOTS, _of(part), after, _WIDE):
        yield [snapshots.stored_row(row) for row in rows]


async def task_write_rows(conn: Connection, part: Ancestor) -> AsyncIterator[list[KeptWrite]]:
    """Task writes that a history has of one of its runs."""
    after: Values = {"namespace": "", "snapshot_id": "", "task_id": "", "index": _LEAST_INDEX}
    async for rows in _pages(conn, _TASK_WRITES, _of(part), after, _WIDE):
        yield [_kept_write(row) for row in rows]


async def output_rows(conn: Connection, run: int) -> AsyncIterator[list[KeptOutput]]:
    """The revisions of a run's output."""
    async for rows in _pages(conn, _OUTPUTS, {"run": run}, {"revision": 0}, 1):
        yield [KeptOutput(outputs.stored_output(row), row["body_hash"]) for row in rows]


async def artifact_rows(conn: Connection, run: int) -> AsyncIterator[list[KeptArtifact]]:
    """The artifacts of a run."""
    after: Values = {"name": "", "version": 0}
    async for rows in _pages(conn, _ARTIFACTS, {"run": run}, after, _WIDE):
        yield [KeptArtifact(artifacts.artifact_of(row), row["location"]) for row in rows]


async def request_rows(conn: Connection, run: int) -> AsyncIterator[Rows]:
    """The first answers to a run's requests."""
    async for rows in _pages(conn, _REQUESTS, {"run": run}, {"request_id": ""}, _NARROW):
        yield rows


async def part_rows(conn: Connection, run: int, blobs: Collection[int]) -> Rows:
    """The hashes and sizes of a run's blobs, by their numbers."""
    return await conn.execute(_PARTS, {"run": run, "blobs": list(blobs)})


async def _pages(
    conn: Connection, statement: Statement, values: Values, after: Values, size: int
) -> AsyncIterator[Rows]:
    """The rows of a statement, page by page; `after` has the columns that they are sorted by."""
    while True:
        rows = await conn.execute(statement, {**values, **after, "limit": size})
        if rows:
            yield rows
        if len(rows) < size:
            return
        after = {name: rows[-1][name] for name in after}


def _of(part: Ancestor) -> Values:
    return {"run": part.run, "last_seq": part.last_seq, "until": part.until}


def _kept_write(row: Row) -> KeptWrite:
    payload = payload_of(row, "payload")
    return KeptWrite(
        TaskWrite(row["task_id"], row["index"], row["snapshot_id"], row["channel"], payload),
        row["run_id"],
        row["namespace"],
        row["seq"],
        row["written_at"],
        row["salt"],
        row["body_hash"],
    )
