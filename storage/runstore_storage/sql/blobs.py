"""blobs: the contents of snapshot parts and of large payloads, each kept once per run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from runstore_storage.contract.heads import RunKey
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql import scopes
from runstore_storage.sql.columns import by_column, insert_rows
from runstore_storage.sql.inserts import Insert, Target

# Of one statement: the driver holds up all other calls while it encodes them.
MOST_ROWS = 10_000
_COLUMNS = (
    ("run", "bigint"),
    ("sha256", "bytea"),
    ("is_json", "boolean"),
    ("content_type", "text"),
    ("raw_bytes", "integer"),
    ("data", "bytea"),
    ("location", "text"),
)
_NUMBERED = (("blob", "bigint"), *_COLUMNS)
_TARGET = Target("blobs", _NUMBERED, overriding="OVERRIDING SYSTEM VALUE")
# A role needs USAGE on the sequence to take numbers before it inserts.
_TAKE_NUMBERS = system("""
    SELECT nextval(of.sequence)
    FROM (SELECT pg_get_serial_sequence('blobs', 'blob')::regclass AS sequence) AS of,
        generate_series(1, :count::integer)
    WHERE has_sequence_privilege(of.sequence, 'USAGE')
""")
_REF = "sha256, blob, is_json, content_type"
_FIND = tenant(f"""
    SELECT {_REF} FROM blobs
    WHERE run = :run AND sha256 = ANY(:hashes::bytea[]) AND {scopes.HAS_RUN}
""")
_FIND_BY_KEY = tenant(f"""
    SELECT {_REF} FROM runs r JOIN blobs b USING (run)
    WHERE r.project = :project AND r.project = :scope AND r.run_id = :run_id
        AND b.sha256 = ANY(:hashes::bytea[])
""")
_ENSURE = tenant(f"""
    WITH added AS (
        {insert_rows("blobs", _COLUMNS, prefix="new_")} WHERE new.run = {scopes.RUN}
        ON CONFLICT ON CONSTRAINT uq_blobs_sha256 DO NOTHING
        RETURNING {_REF}
    )
    SELECT {_REF} FROM added
    UNION ALL
    SELECT {_REF} FROM blobs WHERE run = {scopes.RUN} AND sha256 = ANY(:hashes::bytea[])
""")
_COPY = tenant(f"""
    INSERT INTO blobs (run, sha256, is_json, content_type, raw_bytes, data, location)
    SELECT DISTINCT ON (sha256)
           {scopes.RUN}, sha256, is_json, content_type, raw_bytes, data, location
    FROM blobs
    WHERE run = ANY(:sources::bigint[]) AND sha256 = ANY(:hashes::bytea[])
        AND {scopes.is_own("blobs.run")}
    RETURNING {_REF}
""")
_ASKED = """
    FROM unnest(:runs::bigint[], :blobs::bigint[]) AS asked(run, blob)
    JOIN blobs b ON b.run = asked.run AND b.blob = asked.blob
"""
_OWN = f"WHERE {scopes.is_own('asked.run')}"
_READ = tenant(f"SELECT b.run, b.blob, b.data {_ASKED} {_OWN}")
_LOCATED = f"SELECT b.run, b.blob, b.raw_bytes, b.data, b.location {_ASKED}"
_LOCATE = tenant(f"{_LOCATED} {_OWN}")
_LOCATE_ANY = system(_LOCATED)
# A snapshot may refer to the blob of a payload, if its writer knew the blob's name.
_DELETE = tenant(f"""
    DELETE FROM blobs b
    WHERE b.run = :run AND b.blob = ANY(:blobs::bigint[]) AND {scopes.HAS_RUN}
      AND NOT EXISTS (SELECT FROM events e WHERE e.run = :run AND e.payload_blob = b.blob)
      AND NOT EXISTS (SELECT FROM archived_events a WHERE a.run = :run AND a.payload_blob = b.blob)
      AND NOT EXISTS (SELECT FROM outputs o WHERE o.run = :run AND o.payload_blob = b.blob)
    RETURNING octet_length(b.data)
""")


@dataclass(frozen=True, slots=True)
class NewBlob:
    """A blob about to be inserted."""

    sha256: bytes
    is_json: bool
    content_type: str
    raw_bytes: int
    data: bytes | None
    location: str | None = None
    """Where in the object store the data is, if it is there instead of here."""


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob's data, or where in the object store it is."""

    raw_bytes: int
    data: bytes | None
    location: str | None


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A stored blob's number, and the kind and media type it was first stored under."""

    blob: int
    is_json: bool
    content_type: str


async def find(conn: Connection, run: int, hashes: Collection[bytes]) -> dict[bytes, BlobRef]:
    """The run's blobs with these hashes, by hash."""
    return _refs(await conn.execute(_FIND, {"run": run, "hashes": list(hashes)}))


async def find_by_key(
    conn: Connection, key: RunKey, hashes: Collection[bytes]
) -> dict[bytes, BlobRef]:
    """The run's blobs with these hashes, by hash; none where there is no run."""
    values = {"project": key.project, "run_id": key.run_id, "hashes": list(hashes)}
    return _refs(await conn.execute(_FIND_BY_KEY, values))


async def copy(
    conn: Connection, sources: Collection[int], run: int, hashes: Collection[bytes]
) -> dict[bytes, BlobRef]:
    """Copy blobs of other runs to a run. Returns the copied ones, by hash."""
    values = {"sources": list(sources), "run": run, "hashes": list(hashes)}
    return _refs(await conn.execute(_COPY, values))


async def ensure(
    conn: Connection, run: int, hashes: Collection[bytes], new: Iterable[NewBlob]
) -> dict[bytes, BlobRef]:
    """Insert the new blobs that the run does not have yet; call it under the run's lock.

    Returns them, and the run's blobs with these hashes, by hash.
    """
    rows = [_row(run, each) for each in new]
    if not rows:
        return await find(conn, run, hashes) if hashes else {}
    found: dict[bytes, BlobRef] = {}
    for first in range(0, len(rows), MOST_ROWS):
        some = by_column(_COLUMNS, rows[first : first + MOST_ROWS], prefix="new_")
        asked = [] if first else list(hashes)
        found |= _refs(await conn.execute(_ENSURE, {"run": run, "hashes": asked, **some}))
    return found


async def take_numbers(conn: Connection, count: int) -> list[int]:
    """Numbers of blobs that no one else will get; none where the role may not take any."""
    return (await conn.execute(_TAKE_NUMBERS, {"count": count})).scalars()


def insert(run: int, new: Sequence[NewBlob], numbers: Sequence[int]) -> Insert:
    """What inserts blobs that the run does not have, with the numbers that were taken for them."""
    rows = zip(numbers, new, strict=True)
    return Insert(_TARGET, [(number, *_row(run, each)) for number, each in rows])


def refs(new: Sequence[NewBlob], numbers: Sequence[int]) -> dict[bytes, BlobRef]:
    """What such blobs are referred to by, by hash."""
    return {
        each.sha256: BlobRef(number, each.is_json, each.content_type)
        for number, each in zip(numbers, new, strict=True)
    }


def _row(run: int, new: NewBlob) -> tuple[object, ...]:
    return (
        run,
        new.sha256,
        new.is_json,
        new.content_type,
        new.raw_bytes,
        new.data,
        new.location,
    )


def _refs(rows: Iterable[Row]) -> dict[bytes, BlobRef]:
    return {
        row["sha256"]: BlobRef(row["blob"], row["is_json"], row["content_type"]) for row in rows
    }


async def delete(conn: Connection, run: int, numbers: Collection[int]) -> int:
    """Delete the blobs, except payloads of events and outputs. Returns the bytes freed."""
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
    return {(row["run"], row["blob"]): row["data"] for row in found}


async def locate(
    conn: Connection, wanted: Collection[tuple[int, int]], *, of_any_project: bool = False
) -> dict[tuple[int, int], StoredBlob]:
    """The data of (run, blob) pairs, or where in the object store it is."""
    runs, blobs = zip(*wanted, strict=True)
    locating = _LOCATE_ANY if of_any_project else _LOCATE
    found = await conn.execute(locating, {"runs": list(runs), "blobs": list(blobs)})
    return {
        (row["run"], row["blob"]): StoredBlob(row["raw_bytes"], row["data"], row["location"])
        for row in found
    }


async def store_blobs(
    conn: Connection, new: Iterable[tuple[int, NewBlob]]
) -> dict[tuple[int, bytes], int]:
    """Insert those of the blobs that their runs do not have, under the runs' locks.

    Returns the numbers of all of them, by run and hash.
    """
    by_run: dict[int, dict[bytes, NewBlob]] = {}
    for run, blob in new:
        by_run.setdefault(run, {})[blob.sha256] = blob
    numbers: dict[tuple[int, bytes], int] = {}
    for run, wanted in by_run.items():
        stored = await ensure(conn, run, wanted.keys(), wanted.values())
        numbers |= {(run, name): ref.blob for name, ref in stored.items()}
    return numbers
