"""artifacts: versions of named results."""

from __future__ import annotations

from runstore_storage.contract.artifacts import Artifact, ArtifactFilter, ArtifactRef, NewArtifact
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql import scopes
from runstore_storage.sql.columns import payload_columns, payload_of

_INSERT = tenant(f"""
    INSERT INTO artifacts (project, run, name, version, artifact_id, type, content_type, object,
                           url, sha256, size, metadata_json, metadata_binary, metadata_type,
                           actor, created_at)
    VALUES (:scope, {scopes.RUN}, :name, :version, :artifact_id, :type, :content_type, :object,
            :url, :sha256, :size, :metadata_json::text::json, :metadata_binary,
            :metadata_type, :actor, :created_at)
""")
SELECTED = """
    a.artifact_id, a.project, r.run_id, a.name, a.type, a.content_type, a.metadata_json::text,
    a.metadata_binary, a.metadata_type, a.actor, a.version, a.url, a.sha256, a.size, a.created_at
"""
"""What `artifact_of` reads."""
_BY_ID = tenant(f"""
    SELECT {SELECTED}, coalesce(o.location, '') AS location
    FROM artifacts a JOIN runs r ON r.run = a.run LEFT JOIN objects o ON o.object = a.object
    WHERE a.project = :project AND a.project = :scope AND a.artifact_id = :artifact_id
        AND {scopes.IS_THERE}
""")
_BY_NAME = tenant(f"""
    SELECT {SELECTED}, coalesce(o.location, '') AS location
    FROM artifacts a JOIN runs r ON r.run = a.run LEFT JOIN objects o ON o.object = a.object
    WHERE r.project = :project AND r.project = :scope AND r.run_id = :run_id AND a.name = :name
      AND (a.version = :version OR :version = 0) AND {scopes.IS_THERE}
    ORDER BY a.version DESC LIMIT 1
""")
_LATEST = tenant(f"""
    SELECT {SELECTED} FROM artifacts a JOIN runs r ON r.run = a.run
    WHERE a.run = :run AND r.project = :scope AND a.name = :name
    ORDER BY a.version DESC LIMIT 1
""")
# Versions go on after those that were removed.
_VERSION = tenant("""
    SELECT 1 + greatest(
        (SELECT artifact_floor FROM run_heads WHERE run = r.run),
        (SELECT max(version) FROM artifacts a WHERE a.run = r.run AND a.name = :name), 0)
    FROM runs r WHERE r.run = :run AND r.project = :scope
""")
_PAGE = f"""
    SELECT {SELECTED} FROM artifacts a JOIN runs r ON r.run = a.run
    WHERE a.project = :scope AND {scopes.IS_THERE} AND {{conditions}}
    ORDER BY a.artifact_id DESC LIMIT :limit
"""


async def insert(conn: Connection, run: int, artifact: Artifact, *, object_: int | None) -> None:
    """Record a version; `object_` is the number of the object that holds its bytes."""
    new = artifact.new
    in_scope(new.key.project)
    json, binary, type_ = payload_columns(new.metadata)
    values = {
        "run": run,
        "name": new.name,
        "version": artifact.version,
        "artifact_id": artifact.artifact_id,
        "type": new.type,
        "content_type": new.content_type,
        "object": object_,
        "url": artifact.url,
        "sha256": artifact.sha256 or None,
        "size": artifact.size,
        "metadata_json": json,
        "metadata_binary": binary,
        "metadata_type": type_,
        "actor": new.actor,
        "created_at": artifact.created_at,
    }
    await conn.execute(_INSERT, values)


async def latest(conn: Connection, run: int, name: str) -> Artifact | None:
    """The newest version of a name."""
    row = (await conn.execute(_LATEST, {"run": run, "name": name})).one_or_none()
    return artifact_of(row) if row else None


async def next_version(conn: Connection, run: int, name: str) -> int:
    """The version that comes next of a name."""
    return int((await conn.execute(_VERSION, {"run": run, "name": name})).scalar_one())


async def find(conn: Connection, ref: ArtifactRef) -> tuple[Artifact, str] | None:
    """An artifact, and where its bytes are in the object store; "" for a link."""
    if ref.artifact_id:
        values: dict[str, object] = {"project": ref.project, "artifact_id": ref.artifact_id}
        found = await conn.execute(_BY_ID, values)
    else:
        values = {
            "project": ref.project,
            "run_id": ref.run_id,
            "name": ref.name,
            "version": ref.version,
        }
        found = await conn.execute(_BY_NAME, values)
    row = found.one_or_none()
    return (artifact_of(row), row["location"]) if row else None


async def page(
    conn: Connection,
    project: str,
    run: int | None,
    where: ArtifactFilter,
    *,
    limit: int,
    after: str,
) -> tuple[Artifact, ...]:
    """Artifacts of a run or of a project, newest first."""
    asked: dict[str, tuple[str, object]] = {
        "project": ("a.project = :project", project),
        "run": ("a.run = :run", run),
        "type": ("a.type = :type", where.type),
        "name": ("a.name = :name", where.name),
        "after": ("a.artifact_id < :after", after),
    }
    chosen = {name: each for name, each in asked.items() if each[1]}
    conditions = " AND ".join(sql for sql, _ in chosen.values())
    found = await conn.execute(
        tenant(_PAGE.format(conditions=conditions)),
        {name: value for name, (_, value) in chosen.items()} | {"limit": limit},
    )
    return tuple(artifact_of(row) for row in found)


def artifact_of(row: Row) -> Artifact:
    """The artifact of a row with the columns of `SELECTED`."""
    return Artifact(
        artifact_id=row["artifact_id"],
        new=NewArtifact(
            key=RunKey(row["project"], row["run_id"]),
            name=row["name"],
            type=row["type"],
            content_type=row["content_type"],
            metadata=payload_of(row, "metadata"),
            actor=row["actor"],
        ),
        version=row["version"],
        url=row["url"],
        sha256=row["sha256"] or b"",
        size=row["size"],
        created_at=row["created_at"],
    )
