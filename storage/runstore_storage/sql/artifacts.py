"""artifacts: versions of named results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runstore_storage.contract.artifacts import Artifact, ArtifactFilter, ArtifactRef, NewArtifact
from runstore_storage.contract.heads import RunKey
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import composed, statement
from runstore_storage.sql.columns import payload_columns, payload_of

_INSERT = statement("""
    INSERT INTO artifacts (run, name, version, artifact_id, project, type, content_type, object,
                           url, sha256, size, metadata_json, metadata_binary, metadata_type,
                           actor, created_at)
    VALUES (:run, :name, :version, :artifact_id, :project, :type, :content_type, :object,
            :url, :sha256, :size, CAST(CAST(:metadata_json AS text) AS json), :metadata_binary,
            :metadata_type, :actor, :created_at)
""")
_SELECT = (
    "SELECT a.artifact_id, a.project, r.run_id, a.name, a.type, a.content_type,"
    " a.metadata_json::text, a.metadata_binary, a.metadata_type, a.actor, a.version, a.url,"
    " a.sha256, a.size, a.created_at{more} FROM artifacts a JOIN runs r ON r.run = a.run"
)
_WITH_LOCATION = _SELECT.format(more=", coalesce(o.location, '')") + (
    " LEFT JOIN objects o ON o.object = a.object WHERE "
)
_NEWEST = " ORDER BY a.version DESC LIMIT 1"
_BY_ID = statement(_WITH_LOCATION + "a.project = :project AND a.artifact_id = :artifact_id")
_BY_NAME = statement(
    _WITH_LOCATION + "r.project = :project AND r.run_id = :run_id AND a.name = :name"
    " AND (a.version = :version OR :version = 0)" + _NEWEST
)
_LATEST = statement(_SELECT.format(more="") + " WHERE a.run = :run AND a.name = :name" + _NEWEST)


async def insert(conn: Connection, run: int, artifact: Artifact, *, object_: int | None) -> None:
    """Record a version; `object_` is the number of the object that holds its bytes."""
    new = artifact.new
    json, binary, type_ = payload_columns(new.metadata)
    values = {
        "run": run,
        "name": new.name,
        "version": artifact.version,
        "artifact_id": artifact.artifact_id,
        "project": new.key.project,
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
    return _artifact(row) if row else None


async def find(conn: Connection, ref: ArtifactRef) -> tuple[Artifact, str] | None:
    """An artifact, and where its bytes lie in the object store; "" for a link."""
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
    return (_artifact(row), row[-1]) if row else None


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
        composed(
            f"{_SELECT.format(more='')} WHERE {conditions} ORDER BY a.artifact_id DESC LIMIT :limit"
        ),
        {name: value for name, (_, value) in chosen.items()} | {"limit": limit},
    )
    return tuple(_artifact(row) for row in found)


def _artifact(row: Sequence[Any]) -> Artifact:
    return Artifact(
        artifact_id=row[0],
        new=NewArtifact(
            key=RunKey(row[1], row[2]),
            name=row[3],
            type=row[4],
            content_type=row[5],
            metadata=payload_of(row[6], row[7], row[8]),
            actor=row[9],
        ),
        version=row[10],
        url=row[11],
        sha256=row[12] or b"",
        size=row[13],
        created_at=row[14],
    )
