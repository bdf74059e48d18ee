"""blobs: the contents of snapshot parts, once a run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from runstore_storage.sql.columns import by_column, insert_rows

_COLUMNS = (
    ("run", "bigint"),
    ("sha256", "bytea"),
    ("is_json", "boolean"),
    ("content_type", "text"),
    ("raw_bytes", "integer"),
    ("data", "bytea"),
)
_INSERT = text(insert_rows("blobs", _COLUMNS) + " RETURNING sha256, blob, is_json, content_type")
_FIND = text(
    "SELECT sha256, blob, is_json, content_type FROM blobs"
    " WHERE run = :run AND sha256 = ANY(CAST(:hashes AS bytea[]))"
)
_READ = text(
    "SELECT b.run, b.blob, b.data"
    " FROM unnest(CAST(:runs AS bigint[]), CAST(:blobs AS bigint[])) AS k(run, blob)"
    " JOIN blobs b ON b.run = k.run AND b.blob = k.blob"
)


@dataclass(frozen=True, slots=True)
class NewBlob:
    sha256: bytes
    is_json: bool
    content_type: str
    raw_bytes: int
    data: bytes


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A stored blob, and as what it was stored first."""

    blob: int
    is_json: bool
    content_type: str


async def find(conn: AsyncConnection, run: int, hashes: Collection[bytes]) -> dict[bytes, BlobRef]:
    """The blobs of the run that are there, by hash."""
    found = await conn.execute(_FIND, {"run": run, "hashes": list(hashes)})
    return {row[0]: BlobRef(*row[1:]) for row in found}


async def insert(conn: AsyncConnection, run: int, new: Sequence[NewBlob]) -> dict[bytes, BlobRef]:
    """Insert blobs that are not there."""
    rows = [
        (run, each.sha256, each.is_json, each.content_type, each.raw_bytes, each.data)
        for each in new
    ]
    found = await conn.execute(_INSERT, by_column(_COLUMNS, rows))
    return {row[0]: BlobRef(*row[1:]) for row in found}


async def read(
    conn: AsyncConnection, wanted: Collection[tuple[int, int]]
) -> dict[tuple[int, int], bytes]:
    """The data of (run, blob) pairs."""
    runs, blobs = zip(*wanted, strict=True)
    found = await conn.execute(_READ, {"runs": list(runs), "blobs": list(blobs)})
    return {(row[0], row[1]): row[2] for row in found}
