"""outputs: the revisions of runs' results."""

from __future__ import annotations

from datetime import datetime

from runstore_storage import chain
from runstore_storage.contract.heads import Outcome
from runstore_storage.contract.outputs import Output, StoredOutput
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql import scopes
from runstore_storage.sql.columns import (
    USAGE,
    by_column,
    insert_rows,
    offloaded_columns,
    payload_columns,
    payload_of,
    stored_payload,
    usage_columns,
    usage_of,
)

_COLUMNS = (
    ("run", "bigint"),
    ("revision", "integer"),
    ("outcome", "smallint"),
    ("payload_json", "json"),
    ("payload_binary", "bytea"),
    ("payload_type", "text"),
    ("payload_blob", "bigint"),
    ("schema_hash", "text"),
    ("plan_version_id", "text"),
    ("provenance_json", "json"),
    ("provenance_binary", "bytea"),
    ("provenance_type", "text"),
    ("statistics_json", "json"),
    ("statistics_binary", "bytea"),
    ("statistics_type", "text"),
    *((name, "bigint") for name in USAGE),
    ("salt", "bytea"),
    ("body_hash", "bytea"),
    ("completed_at", "timestamptz"),
)
_INSERT = tenant(f"""
    {insert_rows("outputs", _COLUMNS)} WHERE {scopes.is_own("new.run")} RETURNING revision
""")
SELECTED = f"""
    run, revision, outcome, payload_json::text, payload_binary, payload_type, payload_blob,
    schema_hash, plan_version_id, provenance_json::text, provenance_binary, provenance_type,
    statistics_json::text, statistics_binary, statistics_type, {", ".join(USAGE)},
    completed_at, salt
"""
"""What `stored_output` reads."""
_GET = tenant(f"""
    SELECT {SELECTED}
    FROM outputs
    WHERE run = :run AND (revision = :revision OR :revision = 0) AND {scopes.HAS_RUN}
    ORDER BY revision DESC LIMIT 1
""")
_HASHES = tenant(f"""
    SELECT revision, completed_at, salt, body_hash FROM outputs
    WHERE run = :run AND {scopes.HAS_RUN}
""")
_LATEST = tenant(f"""
    SELECT coalesce(max(revision), 0) FROM outputs WHERE run = :run AND {scopes.HAS_RUN}
""")


async def insert(
    conn: Connection,
    run: int,
    stored: StoredOutput,
    *,
    body_hash: bytes,
    blob: int | None = None,
) -> None:
    """Store a revision; `blob` is the number of the blob that its payload is kept as."""
    output = stored.output
    row = (
        run,
        stored.revision,
        int(stored.outcome),
        *(payload_columns(output.payload) if blob is None else offloaded_columns(output.payload)),
        blob,
        output.schema_hash,
        output.plan_version_id,
        *payload_columns(output.provenance),
        *payload_columns(output.statistics),
        *usage_columns(stored.usage),
        stored.salt,
        chain.salted_hash(body_hash, stored.salt),
        stored.completed_at,
    )
    (await conn.execute(_INSERT, by_column(_COLUMNS, [row]))).one()


async def find(conn: Connection, run: int, body_hash: bytes) -> tuple[int, datetime] | None:
    """The revision that holds this content, and when it was written."""
    for revision, completed_at, salt, kept in await conn.execute(_HASHES, {"run": run}):
        if kept == chain.salted_hash(body_hash, salt):
            return revision, completed_at
    return None


async def latest_revision(conn: Connection, run: int) -> int:
    """The greatest revision; 0 without one."""
    found = await conn.execute(_LATEST, {"run": run})
    return int(found.scalar_one())


async def get(conn: Connection, run: int, revision: int) -> StoredOutput | None:
    """A revision; the latest for 0."""
    found = await conn.execute(_GET, {"run": run, "revision": revision})
    row = found.one_or_none()
    return stored_output(row) if row else None


def stored_output(row: Row) -> StoredOutput:
    """The revision of a row with the columns of `SELECTED`; a large payload is not loaded."""
    return StoredOutput(
        output=Output(
            payload=stored_payload(
                row["run"],
                row["payload_json"],
                row["payload_binary"],
                row["payload_type"],
                row["payload_blob"],
            ),
            schema_hash=row["schema_hash"],
            plan_version_id=row["plan_version_id"],
            provenance=payload_of(row, "provenance"),
            statistics=payload_of(row, "statistics"),
        ),
        usage=usage_of(row),
        outcome=Outcome(row["outcome"]),
        revision=row["revision"],
        completed_at=row["completed_at"],
        salt=row["salt"],
    )
