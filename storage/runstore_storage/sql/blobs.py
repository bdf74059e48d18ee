"""blobs: the contents of snapshot parts and of large payloads, once a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runstore_storage.contract.heads import RunKey
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import statement
from runstore_storage.sql.columns import by_column, insert_rows

_COLUMNS = (
    ("run", "bigint"),
    ("sha256", "bytea"),
    ("is_json", "boolean"),
    ("content_type", "text"),
    ("raw_bytes", "integer"),
    ("data", "bytea"),
    ("location", "text"),
)
_REF = "sha256, blob, is_json, content_type"
_FIND = statement(
    f"SELECT {_REF} FROM blobs WHERE run = :run AND sha256 = ANY(CAST(:hashes AS bytea[]))"
)
_FIND_BY_KEY = statement(
    f"SELECT {_REF} FROM runs r JOIN blobs b USING (run)"
    " WHERE r.project = :project AND r.run_id = :run_id"
    " AND b.sha256 = ANY(CAST(:hashes AS bytea[]))"
)
_ENSURE = statement(
    f"WITH added AS ({insert_rows('blobs', _COLUMNS)}"
    f" ON CONFLICT ON CONSTRAINT uq_blobs_sha256 DO NOTHING RETURNING {_REF})"
    f" SELECT {_REF} FROM added UNION ALL SELECT {_REF} FROM blobs"
    " WHERE run = :of_run AND sha256 = ANY(CAST(:hashes AS bytea[]))"
)
_COPY = statement(
    "INSERT INTO blobs (run, sha256, is_json, content_type, raw_bytes, data, location)"
    " SELECT DISTINCT ON (sha256) CAST(:run AS bigint), sha256, is_json, content_type, raw_bytes,"
    " data, location FROM blobs"
    " WHERE run = ANY(CAST(:sources AS bigint[])) AND sha256 = ANY(CAST(:hashes AS bytea[]))"
    f" RETURNING {_REF}"
)
_READ = statement(
    "SELECT b.run, b.blob, b.data"
    " FROM unnest(CAST(:runs AS bigint[]), CAST(:blobs AS bigint[])) AS k(run, blob)"
    " JOIN blobs b ON b.run = k.run AND b.blob = k.blob"
)

_PLACES = statement(
    "SELECT b.run, b.blob, b.raw_bytes, b.data, b.location"
    " FROM unnest(CAST(:runs AS bigint[]), CAST(:blobs AS bigint[])) AS k(run, blob)"
    " JOIN blobs b ON b.run = k.run AND b.blob = k.blob"
)
# Whoever knows the name of a payload's blob may have referred to it in a snapshot.
_DELETE = statement(
    "DELETE FROM blobs b WHERE b.run = :run AND b.blob = ANY(CAST(:blobs AS bigint[]))"
    " AND NOT EXISTS (SELECT FROM events e WHERE e.run = :run AND e.payload_blob = b.blob)"
    " AND NOT EXISTS (SELECT FROM outputs o WHERE o.run = :run AND o.payload_blob = b.blob)"
    " RETURNING octet_length(b.data)"
)


@dataclass(frozen=True, slots=True)
class NewBlob:
    sha256: bytes
    is_json: bool
    content_type: str
    raw_bytes: int
    data: bytes | None
    location: str | None = None
    """Where in the object store the data is, where it is not here."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob's data, or where in the object store it is."""

    raw_bytes: int
    data: bytes | None
    location: str | None


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A stored blob, and as what it was stored first."""

    blob: int
    is_json: bool
    content_type: str


async def find(conn: Connection, run: int, hashes: Collection[bytes]) -> dict[bytes, BlobRef]:
    """The blobs of the run that are there, by hash."""
    return _refs(await conn.execute(_FIND, {"run": run, "hashes": list(hashes)}))


async def find_by_key(
    conn: Connection, key: RunKey, hashes: Collection[bytes]
) -> dict[bytes, BlobRef]:
    """The blobs of a run that are there, by hash; none where there is no run."""
    values = {"project": key.project, "run_id": key.run_id, "hashes": list(hashes)}
    return _refs(await conn.execute(_FIND_BY_KEY, values))


async def copy(
    conn: Connection, sources: Collection[int], run: int, hashes: Collection[bytes]
) -> dict[bytes, BlobRef]:
    """Give a run blobs of other runs, and return those that were there."""
    values = {"sources": list(sources), "run": run, "hashes": list(hashes)}
    return _refs(await conn.execute(_COPY, values))


async def ensure(
    conn: Connection, run: int, hashes: Collection[bytes], new: Iterable[NewBlob]
) -> dict[bytes, BlobRef]:
    """Insert those of the new blobs that are not there, under the run's lock.

    They and the blobs of the run with one of the hashes, by hash.
    """
    rows = [
        (
            run,
            each.sha256,
            each.is_json,
            each.content_type,
            each.raw_bytes,
            each.data,
            each.location,
        )
        for each in new
    ]
    if not rows:
        return await find(conn, run, hashes) if hashes else {}
    values = {"of_run": run, "hashes": list(hashes), **by_column(_COLUMNS, rows)}
    return _refs(await conn.execute(_ENSURE, values))


def _refs(rows: Iterable[Sequence[Any]]) -> dict[bytes, BlobRef]:
    return {row[0]: BlobRef(*row[1:]) for row in rows}


async def delete(conn: Connection, run: int, numbers: Collection[int]) -> int:
    """Delete blobs of the run that no event and no output is kept in; their bytes together."""
    if not numbers:
        return 0
    found = await conn.execute(_DELETE, {"run": run, "blobs": list(numbers)})
    return sum(found.scalars())


async def read(
    conn: Connection, wanted: Collection[tuple[int, int]]
) -> dict[tuple[int, int], bytes]:
    """The data of (run, blob) pairs."""
    runs, blobs = zip(*wanted, strict=True)
    found = await conn.execute(_READ, {"runs": list(runs), "blobs": list(blobs)})
    return {(row[0], row[1]): row[2] for row in found}


async def find_places(
    conn: Connection, wanted: Collection[tuple[int, int]]
) -> dict[tuple[int, int], StoredBlob]:
    """The data of (run, blob) pairs, or where it is."""
    runs, blobs = zip(*wanted, strict=True)
    found = await conn.execute(_PLACES, {"runs": list(runs), "blobs": list(blobs)})
    return {(row[0], row[1]): StoredBlob(*row[2:]) for row in found}


async def store_blobs(
    conn: Connection, new: Iterable[tuple[int, NewBlob]]
) -> dict[tuple[int, bytes], int]:
    """Insert blobs their runs do not have, under the runs' locks; all their numbers."""
    by_run: dict[int, dict[bytes, NewBlob]] = {}
    for run, blob in new:
        by_run.setdefault(run, {})[blob.sha256] = blob
    numbers: dict[tuple[int, bytes], int] = {}
    for run, wanted in by_run.items():
        there = await ensure(conn, run, wanted.keys(), wanted.values())
        numbers |= {(run, name): ref.blob for name, ref in there.items()}
    return numbers
