"""What the ledger is made of: which runs were deleted, and which events erased, in all projects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from runstore_storage.contract.erasures import Seqs
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system, tenant
from runstore_storage.sql import scopes

_DELETED = system(f"""
    SELECT m.removal, r.project, r.run_id, m.birth
    FROM removals m JOIN runs r USING (run)
    WHERE m.kind = {RemovalKind.RUN:d} AND m.removal > :after ORDER BY m.removal LIMIT :limit
""")
_ERASED_RUNS = system("""
    SELECT e.run, r.project, r.run_id, m.birth
    FROM (
        SELECT DISTINCT ON (run) run, removal FROM erasures WHERE run > :after
        ORDER BY run LIMIT :limit
    ) AS e JOIN removals m USING (removal) JOIN runs r ON r.run = e.run
    ORDER BY e.run
""")
_ERASED = system("""
    SELECT min(seq) AS first_seq, max(seq) AS last_seq FROM (
        SELECT seq, seq - row_number() OVER (ORDER BY seq) AS range FROM erasures WHERE run = :run
    ) AS ranges GROUP BY range ORDER BY first_seq
""")
_UNERASED = tenant(f"""
    SELECT EXISTS (
        SELECT FROM unnest(:first_seqs::bigint[], :last_seqs::bigint[]) AS asked(first, last)
        CROSS JOIN LATERAL generate_series(first, last) AS s(seq)
        WHERE NOT EXISTS (SELECT FROM erasures e WHERE e.run = :run AND e.seq = s.seq)
    ) WHERE {scopes.is_own(":run")}
""")


class Noted(NamedTuple):
    """A run of the ledger; `place` is where it is in the order of its kind."""

    place: int
    project: str
    run_id: str
    birth: bytes


async def deleted(conn: Connection, *, after: int, limit: int) -> list[Noted]:
    """Runs that were deleted, the first first."""
    found = await conn.execute(_DELETED, {"after": after, "limit": limit})
    return [Noted(*row) for row in found]


async def erased_runs(conn: Connection, *, after: int, limit: int) -> list[Noted]:
    """Runs that have erased events of their own; their places are their numbers."""
    found = await conn.execute(_ERASED_RUNS, {"after": after, "limit": limit})
    return [Noted(*row) for row in found]


async def erased(conn: Connection, run: int) -> tuple[Seqs, ...]:
    """A run's own events that are erased."""
    return tuple(Seqs(*row) for row in await conn.execute(_ERASED, {"run": run}))


async def has_unerased(conn: Connection, run: int, seqs: Sequence[Seqs]) -> bool:
    """Whether a run has events among these that are not erased."""
    values = {
        "run": run,
        "first_seqs": [each.first for each in seqs],
        "last_seqs": [each.last for each in seqs],
    }
    return bool((await conn.execute(_UNERASED, values)).scalar_one())
