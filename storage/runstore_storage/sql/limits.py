"""project_limits: what a project may use of a server process, and what it may store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from runstore_storage.contract.admin import NO_LIMITS, Limits
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system, tenant

_SELECTED = "calls_per_second, events_per_second, bytes_per_second, streams, stored_bytes"
_SET = tenant(f"""
    INSERT INTO project_limits (project, {_SELECTED}, updated_at)
    VALUES (:scope, :calls_per_second, :events_per_second, :bytes_per_second, :streams,
            :stored_bytes, now())
    ON CONFLICT ON CONSTRAINT pk_project_limits DO UPDATE SET ({_SELECTED}, updated_at)
        = (excluded.calls_per_second, excluded.events_per_second, excluded.bytes_per_second,
           excluded.streams, excluded.stored_bytes, excluded.updated_at)
""")
_GET = tenant(f"""
    SELECT {_SELECTED}, updated_at FROM project_limits
    WHERE project = :project AND project = :scope
""")
# Servers hold every project to its limits, whoever calls.
_ALL = system(f"SELECT project, {_SELECTED} FROM project_limits")


async def set_(conn: Connection, project: str, limits: Limits) -> None:
    in_scope(project)
    await conn.execute(_SET, asdict(limits))


async def get(conn: Connection, project: str) -> tuple[Limits, datetime | None]:
    """A project's limits, and when they were set."""
    row = (await conn.execute(_GET, {"project": project})).one_or_none()
    if row is None:
        return NO_LIMITS, None
    *limits, updated_at = row
    return Limits(*limits), updated_at


async def all_(conn: Connection) -> Mapping[str, Limits]:
    """The limits of each project that has any."""
    found = {project: Limits(*limits) for project, *limits in await conn.execute(_ALL)}
    return {project: each for project, each in found.items() if each != NO_LIMITS}
