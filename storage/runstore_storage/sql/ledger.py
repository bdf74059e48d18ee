"""What the ledger is made of: which runs were deleted, and which events erased, in all projects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from runstore_storage.contract.erasures import Seqs
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.ledger import LedgerEntry
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql import scopes

_DELETED = system(f"""
    SELECT m.removal, r.project, r.run_id, m.birth, '{{}}'::bigint[] AS first_seqs,
        '{{}}'::bigint[] AS last_seqs
    FROM removals m JOIN runs r USING (run)
    WHERE m.kind = {RemovalKind.RUN:d} AND m.removal > :after ORDER BY m.removal LIMIT :limit
""")
_ERASED = system("""
    SELECT e.run, r.project, r.run_id, m.birth, e.first_seqs, e.last_seqs
    FROM (
        SELECT run, min(removal) AS removal, array_agg(first ORDER BY first) AS first_seqs,
            array_agg(last ORDER BY first) AS last_seqs
        FROM (
            SELECT run, min(removal) AS removal, min(seq) AS first, max(seq) AS last
            FROM (
                SELECT run, removal, seq,
                    seq - row_number() OVER (PARTITION BY run ORDER BY seq) AS range
                FROM erasures WHERE run IN (
                    SELECT DISTINCT run FROM erasures WHERE run > :after ORDER BY run LIMIT :limit
                )
            ) AS numbered GROUP BY run, range
        ) AS ranges GROUP BY run
    ) AS e JOIN removals m USING (removal) JOIN runs r ON r.run = e.run
    ORDER BY e.run
""")
_UNERASED = tenant(f"""
    SELECT sum(last - first + 1) > (
        SELECT count(*) FROM unnest(:first_seqs::bigint[], :last_seqs::bigint[]) AS a(first, last)
        JOIN erasures e ON e.run = :run AND e.seq BETWEEN a.first AND a.last
    ) FROM unnest(:first_seqs::bigint[], :last_seqs::bigint[]) AS asked(first, last)
    WHERE {scopes.is_own(":run")}
""")


class Noted(NamedTuple):
    """An entry; `place` is where it is in the order of its kind."""

    place: int
    entry: LedgerEntry


async def deleted(conn: Connection, *, after: int, limit: int) -> list[Noted]:
    """Runs that were deleted, the first first."""
    return [_noted(row) for row in await conn.execute(_DELETED, {"after": after, "limit": limit})]


async def erased(conn: Connection, *, after: int, limit: int) -> list[Noted]:
    """Runs that have erased events of their own, by number."""
    return [_noted(row) for row in await conn.execute(_ERASED, {"after": after, "limit": limit})]


async def has_unerased(conn: Connection, run: int, seqs: Sequence[Seqs]) -> bool:
    """Whether a run has events among these that are not erased."""
    values = {
        "run": run,
        "first_seqs": [each.first for each in seqs],
        "last_seqs": [each.last for each in seqs],
    }
    return bool((await conn.execute(_UNERASED, values)).scalar_one())


def _noted(row: Row) -> Noted:
    place, project, run_id, birth, first_seqs, last_seqs = row
    erased = tuple(Seqs(*each) for each in zip(first_seqs, last_seqs, strict=True))
    return Noted(place, LedgerEntry(RunKey(project, run_id), birth, erased))
