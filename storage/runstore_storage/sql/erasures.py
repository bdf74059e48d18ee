"""erasure_requests and erasure_targets: what was asked to be erased, and what is left to do."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from runstore_storage.contract.archives import ArchiveState
from runstore_storage.contract.erasures import (
    MOST_BLOCKERS,
    Blocker,
    Erasure,
    ErasureState,
    Seqs,
)
from runstore_storage.contract.scope import in_scope
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql import archive_states, heads, holds, removals, scopes

_INSERT = tenant("""
    INSERT INTO erasure_requests (project, erasure_id, record, subject_salt, subject_hash, begun_at)
    VALUES (:scope, :erasure_id, :record, :subject_salt, :subject_hash, now())
    RETURNING erasure
""")
_ADD_SEQS = tenant(f"""
    INSERT INTO erasure_targets (erasure, run, first_seq, last_seq)
    SELECT :erasure, new.run, new.first_seq, new.last_seq
    FROM unnest(:runs::bigint[], :first_seqs::bigint[], :last_seqs::bigint[])
        AS new(run, first_seq, last_seq)
    WHERE {scopes.is_own("new.run")}
""")
_ADD_SUBJECT = tenant(f"""
    INSERT INTO erasure_targets (erasure, run, first_seq, last_seq, subject)
    SELECT DISTINCT :erasure::bigint, s.run, 1, {2**63 - 1}, s.subject
    FROM subject_refs s JOIN runs r ON r.run = s.run AND r.project = :project
    WHERE s.subject = :subject AND r.project = :scope
""")
_SUBJECT_OF = tenant("""
    SELECT subject_salt, subject_hash FROM erasure_requests
    WHERE project = :project AND project = :scope AND record = :record
""")
_SELECTED = f"""
    SELECT q.erasure, q.erasure_id, q.record, q.begun_at,
        (
            SELECT count(*) FROM (
                SELECT run FROM erasure_targets t WHERE t.erasure = q.erasure
                UNION SELECT run FROM removals r WHERE r.erasure = q.erasure
            ) AS runs
        ) AS runs,
        EXISTS (SELECT FROM erasure_targets t WHERE t.erasure = q.erasure) AS is_waiting,
        f.erased_events, f.is_removing, f.done_at
    FROM erasure_requests q CROSS JOIN LATERAL (
        SELECT coalesce(sum(s.removed_events), 0)::bigint AS erased_events,
            coalesce(bool_or(NOT s.is_last), false) AS is_removing, max(s.begun_at) AS done_at
        FROM removals r CROSS JOIN {removals.NEWEST_STEP} WHERE r.erasure = q.erasure
    ) AS f
    WHERE q.project = :project AND q.project = :scope
"""
_OF_ID = tenant(f"{_SELECTED} AND q.erasure_id = :erasure_id")
_OF_RECORD = tenant(f"{_SELECTED} AND q.record = :record")
# A fork shares the events up to its base: what holds it holds them, and its archive has them, too.
_BLOCKERS = tenant(f"""
    WITH RECURSIVE sharing AS (
        SELECT t.run AS of, t.run, min(t.first_seq) AS first_seq FROM erasure_targets t
        WHERE t.erasure = :erasure AND t.run = coalesce(:run, t.run) GROUP BY t.run
        UNION
        SELECT s.of, f.run, s.first_seq FROM sharing s JOIN runs f ON f.fork_parent = s.run
        WHERE f.fork_seq >= s.first_seq
    ), found AS (
        SELECT r.run, r.run_id, b.hold_id, b.is_archived FROM sharing s
        JOIN runs r ON r.run = s.run JOIN run_heads x ON x.run = r.run
        CROSS JOIN LATERAL (
            SELECT '' AS hold_id, false AS is_archived WHERE s.of = r.run AND {heads.IS_OPEN}
            UNION ALL
            SELECT h.hold_id, false FROM holds h WHERE {holds.HOLDS_NOW}
            UNION ALL
            SELECT '', true FROM archives a
            WHERE a.run = r.run AND {archive_states.HAS_FILES}
                AND a.state <= {int(ArchiveState.DONE)}
        ) AS b
        WHERE r.project = :scope
    )
    SELECT run_id, hold_id, is_archived FROM found
    GROUP BY run, run_id, hold_id, is_archived ORDER BY run, hold_id, is_archived LIMIT :limit
""")


async def insert(
    conn: Connection,
    project: str,
    *,
    erasure_id: str,
    record: int,
    subject: tuple[bytes, str] | None,
) -> int:
    """Note what was asked for; its number. Of a subject, given with a salt, a hash is kept.

    Raise `ScopeMismatch` for another project than the scope's.
    """
    in_scope(project)
    salt, name = subject or (None, "")
    values = {
        "erasure_id": erasure_id,
        "record": record,
        "subject_salt": salt,
        "subject_hash": None if salt is None else _subject_hash(salt, name),
    }
    return int((await conn.execute(_INSERT, values)).scalar_one())


async def add_seqs(conn: Connection, erasure: int, of: Sequence[tuple[int, Seqs]]) -> None:
    """Note events, by run, that are to be erased."""
    values = {
        "erasure": erasure,
        "runs": [run for run, _ in of],
        "first_seqs": [seqs.first for _, seqs in of],
        "last_seqs": [seqs.last for _, seqs in of],
    }
    await conn.execute(_ADD_SEQS, values)


async def add_subject(conn: Connection, erasure: int, project: str, subject: str) -> None:
    """Note the runs of the project whose events name the subject."""
    await conn.execute(_ADD_SUBJECT, {"erasure": erasure, "project": project, "subject": subject})


async def is_subject_of(conn: Connection, project: str, record: int, subject: str) -> bool:
    """Whether the act of a record was about this subject."""
    row = (await conn.execute(_SUBJECT_OF, {"project": project, "record": record})).one()
    salt, kept = row
    return bool(_subject_hash(salt, subject) == kept)


async def get(conn: Connection, project: str, erasure_id: str) -> Erasure | None:
    """An erasure as far as it has come."""
    values = {"project": project, "erasure_id": erasure_id}
    row = (await conn.execute(_OF_ID, values)).one_or_none()
    return await _erasure(conn, row) if row else None


async def of_record(conn: Connection, project: str, record: int) -> Erasure:
    """The erasure that an act decided."""
    row = (await conn.execute(_OF_RECORD, {"project": project, "record": record})).one()
    return await _erasure(conn, row)


async def blockers(conn: Connection, erasure: int, run: int | None = None) -> tuple[Blocker, ...]:
    """What keeps an erasure from going on, or what of it keeps one run."""
    values = {"erasure": erasure, "run": run, "limit": MOST_BLOCKERS}
    return tuple(Blocker(*row) for row in await conn.execute(_BLOCKERS, values))


async def _erasure(conn: Connection, row: Row) -> Erasure:
    found = await blockers(conn, row["erasure"]) if row["is_waiting"] else ()
    state = _state(row, is_blocked=bool(found))
    done_at = row["done_at"] or row["begun_at"]
    return Erasure(
        erasure_id=row["erasure_id"],
        state=state,
        record=row["record"],
        begun_at=row["begun_at"],
        runs=row["runs"],
        erased_events=row["erased_events"],
        blockers=found,
        done_at=done_at if state is ErasureState.DONE else None,
    )


def _state(row: Row, *, is_blocked: bool) -> ErasureState:
    if is_blocked:
        return ErasureState.BLOCKED
    if row["is_waiting"]:
        return ErasureState.PENDING
    return ErasureState.REMOVING if row["is_removing"] else ErasureState.DONE


def _subject_hash(salt: bytes, subject: str) -> bytes:
    return sha256(salt + subject.encode()).digest()
