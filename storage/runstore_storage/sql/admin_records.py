"""admin_records: who did what, or was refused it; a chain for each project."""

from __future__ import annotations

from datetime import datetime

from runstore_storage.contract.admin import Act, AdminRecord
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql.access import grants_json, grants_of, principal_json, principal_of

NO_HASH = bytes(32)
"""What the first record of a chain follows."""

_SELECTED = """
    project, number, recorded_at, method, resource, principal::text, grants::text, is_allowed, peer,
    call_id, request_id, request, status, previous_hash, hash
"""
# One record at a time is added to a chain, so that it has no gaps.
_LOCK = tenant("""
    SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '/admin/' || project, 0))
    FROM (SELECT :project::text AS project) AS asked WHERE project = :scope
""")
_LAST = tenant("""
    SELECT coalesce(max(number), 0) AS number, clock_timestamp() AS now,
        (SELECT hash FROM admin_records
         WHERE project = :project AND project = :scope ORDER BY number DESC LIMIT 1) AS hash
    FROM admin_records WHERE project = :project AND project = :scope
""")
_INSERT = tenant("""
    INSERT INTO admin_records (project, number, recorded_at, method, resource, principal, grants,
        is_allowed, peer, call_id, request_id, request, status, previous_hash, hash)
    VALUES (:scope, :number, :recorded_at, :method, :resource, :principal::text::jsonb,
        :grants::text::jsonb, :is_allowed, :peer, :call_id, :request_id, :request, :status,
        :previous_hash, :hash)
""")
_BY_REQUEST = tenant(f"""
    SELECT {_SELECTED} FROM admin_records
    WHERE project = :project AND project = :scope
        AND request_id = :request_id AND is_allowed AND request_id <> ''
""")
_PAGE = tenant(f"""
    SELECT {_SELECTED} FROM admin_records
    WHERE project = :project AND project = :scope AND number < :before
    ORDER BY number DESC LIMIT :limit
""")
_FROM = tenant(f"""
    SELECT {_SELECTED} FROM admin_records
    WHERE project = :project AND project = :scope AND number >= :number
    ORDER BY number LIMIT :limit
""")
_MOST = 2**63 - 1


async def lock(conn: Connection, project: str) -> tuple[int, bytes, datetime]:
    """Lock a chain until the transaction ends; its last number and hash, and the time.

    Raise `ScopeMismatch` for one of another project.
    """
    in_scope(project)
    await conn.execute(_LOCK, {"project": project})
    row = (await conn.execute(_LAST, {"project": project})).one()
    return row["number"], row["hash"] or NO_HASH, row["now"]


async def insert(conn: Connection, record: AdminRecord) -> None:
    """Add a record to a chain of the scope's project."""
    act = record.act
    in_scope(act.project)
    values = {
        "number": record.number,
        "recorded_at": record.recorded_at,
        "method": act.method,
        "resource": act.resource,
        "principal": principal_json(act.principal),
        "grants": grants_json(act.grants),
        "is_allowed": record.is_allowed,
        "peer": act.peer,
        "call_id": act.call_id,
        "request_id": act.request_id,
        "request": act.request,
        "status": record.status,
        "previous_hash": record.previous_hash,
        "hash": record.hash,
    }
    await conn.execute(_INSERT, values)


async def find_request(conn: Connection, project: str, request_id: str) -> AdminRecord | None:
    """The record of the act that a request_id stands for."""
    values = {"project": project, "request_id": request_id}
    row = (await conn.execute(_BY_REQUEST, values)).one_or_none()
    return _record(row) if row else None


async def page(
    conn: Connection, project: str, *, limit: int, before: int | None
) -> tuple[AdminRecord, ...]:
    """Records, greatest number first."""
    values = {"project": project, "before": before or _MOST, "limit": limit}
    return tuple(_record(row) for row in await conn.execute(_PAGE, values))


async def from_number(
    conn: Connection, project: str, number: int, *, limit: int
) -> tuple[AdminRecord, ...]:
    """Records, least number first."""
    values = {"project": project, "number": number, "limit": limit}
    return tuple(_record(row) for row in await conn.execute(_FROM, values))


def _record(row: Row) -> AdminRecord:
    return AdminRecord(
        act=Act(
            project=row["project"],
            method=row["method"],
            resource=row["resource"],
            principal=principal_of(row["principal"]),
            grants=grants_of(row["grants"]),
            peer=row["peer"],
            call_id=row["call_id"],
            request_id=row["request_id"],
            request=row["request"],
        ),
        number=row["number"],
        recorded_at=row["recorded_at"],
        is_allowed=row["is_allowed"],
        status=row["status"],
        previous_hash=row["previous_hash"],
        hash=row["hash"],
    )
