"""What the policies of a project let go, and what keeps it: one selection for all who ask.

A run is looked at with every policy that selects it; of each kind the longest time counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

from runstore_storage.contract.archives import ArchiveState
from runstore_storage.contract.heads import RunStatus
from runstore_storage.contract.holds import RunSelection
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.retention import Blocker, Keep, Policy
from runstore_storage.database.connection import Connection, Row
from runstore_storage.database.statements import tenant
from runstore_storage.sql import duties, heads, policies, scopes
from runstore_storage.sql.holds import HOLDS_NOW
from runstore_storage.sql.selections import selects
from runstore_storage.sql.snapshot_deletions import FORKS_WITH

NO_POLICY = Policy("", Keep(), RunSelection())
"""Given where no policy is to be looked at as if it had been put: it has no name."""

# Snapshots of the kept run `k`, but the latest ones of each namespace, and those that a fork's
# history includes.
_SNAPSHOTS = f"""
    SELECT s.* FROM (
        SELECT run, namespace, snapshot_id, seq, created_at, parts_bytes, row_number() OVER (
            PARTITION BY namespace ORDER BY seq DESC, snapshot_id DESC) AS place
        FROM snapshots WHERE run = k.run
    ) AS s
    WHERE s.place > greatest(k.keep_last_snapshots, k.is_external::integer)
        AND NOT EXISTS ({FORKS_WITH})
"""
_IS_HELD = f"EXISTS (SELECT FROM holds h WHERE {HOLDS_NOW})"
_IN_USE = """EXISTS (
    SELECT FROM runs f JOIN run_heads fh ON fh.run = f.run WHERE f.fork_parent = r.run
)"""
_KEPT = f"""
    p AS MATERIALIZED (
        SELECT {policies.COLUMNS} FROM policies
        WHERE project = :project AND project = :scope AND name <> :name
        UNION ALL
        SELECT * FROM (SELECT {policies.GIVEN}) AS given({policies.COLUMNS}) WHERE name <> ''
    ), k AS MATERIALIZED (
        SELECT r.run, r.run_id, x.completed_at IS NULL AS is_external,
            coalesce(x.completed_at, x.updated_at) AS ended_at,
            {_IS_HELD} AS is_held, {_IN_USE} AS is_in_use, kept.*
        FROM looked JOIN runs r USING (run) JOIN run_heads x ON x.run = r.run
        JOIN LATERAL (
            SELECT array_agg(p.name ORDER BY p.name) AS names, max(p.keep_snapshots)
                    AS keep_snapshots,
                max(p.keep_last_snapshots) FILTER (WHERE p.keep_snapshots IS NOT NULL)
                    AS keep_last_snapshots,
                max(p.keep_events) AS keep_events, max(p.keep_artifacts) AS keep_artifacts,
                max(p.keep_search_text) AS keep_search_text, max(p.keep_run) AS keep_run
            FROM p
            WHERE {selects("p")} AND (x.completed_at IS NOT NULL OR p.includes_external)
        ) AS kept ON kept.names IS NOT NULL
        WHERE r.project = :project AND r.project = :scope
            AND NOT ({heads.IS_OPEN})
    )
"""
# Those of a run that was restored are kept from then on.
_EVENTS_SINCE = f"""greatest(k.ended_at, (
    SELECT max(a.changed_at) FROM archives a
    WHERE a.run = k.run AND a.state = {ArchiveState.RESTORED:d}
))"""
_UNARCHIVED = f"""
    SELECT FROM events e WHERE e.run = k.run AND e.seq > coalesce((
        SELECT max(a.last_seq) FROM archives a
        WHERE a.run = k.run AND a.state <= {ArchiveState.DONE:d}
    ), 0) AND NOT EXISTS (
        SELECT FROM archives a WHERE a.run = k.run AND a.state < {ArchiveState.DONE:d}
    )
"""
_ENDED = "k.ended_at"
# kind, from when on and how long it is kept, and whether there is any of it
_KINDS = (
    (RemovalKind.RUN, _ENDED, "keep_run", "true"),
    (RemovalKind.EVENTS, _EVENTS_SINCE, "keep_events", f"EXISTS ({_UNARCHIVED})"),
    (RemovalKind.SNAPSHOTS, _ENDED, "keep_snapshots", f"EXISTS ({_SNAPSHOTS})"),
    (
        RemovalKind.ARTIFACTS,
        _ENDED,
        "keep_artifacts",
        "EXISTS (SELECT FROM artifacts a WHERE a.run = k.run)",
    ),
    (
        RemovalKind.SEARCH_TEXT,
        _ENDED,
        "keep_search_text",
        "EXISTS (SELECT FROM search_rows t WHERE t.run = k.run)",
    ),
)
_DUE = " UNION ALL ".join(
    f"""
    SELECT k.run, k.run_id, k.names, {kind:d} AS kind, k.is_held,
        k.is_in_use AND {kind is not RemovalKind.SNAPSHOTS} AS is_in_use, {any_} AS has_any
    FROM k WHERE {since} + k.{keep} <= now()
    """
    for kind, since, keep, any_ in _KINDS
)
_PAGE = tenant(f"""
    WITH looked AS MATERIALIZED (
        SELECT run FROM unnest(:runs::bigint[]) AS asked(run)
    ), {_KEPT}, due AS ({_DUE})
    SELECT * FROM due WHERE has_any AND NOT EXISTS (
        SELECT FROM removals m JOIN open_removals USING (removal)
        WHERE m.run = due.run AND m.kind = due.kind
    ) ORDER BY run, kind
""")
_OF_RUN = tenant(f"""
    WITH looked AS (SELECT :run::bigint AS run), {_KEPT}, due AS ({_DUE})
    SELECT * FROM due WHERE kind = :kind
""")
# Deleted runs have no head, and those that are running or paused do not come into question.
_LOOKED = tenant(f"""
    SELECT status, run FROM run_heads
    WHERE project = :project AND project = :scope AND (status, run) > (:status, :run)
        AND status > {RunStatus.PAUSED:d}
    ORDER BY status, run LIMIT :most
""")
_SNAPSHOTS_OF_RUN = tenant(f"""
    WITH looked AS (SELECT :run::bigint AS run), {_KEPT}
    SELECT s.namespace, s.snapshot_id FROM k CROSS JOIN LATERAL ({_SNAPSHOTS}) AS s
    ORDER BY s.namespace, s.seq, s.snapshot_id LIMIT :most
""")
# Consumers and sinks that have gone on lately.
_FLOOR = tenant(f"""
    SELECT least(
        (SELECT min(position) FROM consumers
         WHERE project = :project AND project = :scope AND committed_at > now() - :idle::interval),
        (SELECT min(position) FROM duties WHERE {duties.IS_SINK} AND {duties.GOES_ON}))
""")
_UNREAD = tenant("""
    SELECT run FROM outbox WHERE run = ANY(:runs::bigint[])
    UNION
    SELECT run FROM feed WHERE project = :project AND project = :scope
        AND last_position > :floor AND run = ANY(:runs::bigint[])
""")
_SIZES = f"""
    SELECT asked.run, count(t.run) AS items, coalesce(sum({{bytes}}), 0)::bigint AS bytes
    FROM unnest(:runs::bigint[]) AS asked(run) JOIN {{table}} t ON t.run = asked.run
    WHERE {scopes.is_own("asked.run")} GROUP BY asked.run
"""
_EVENTS = tenant(_SIZES.format(table="events", bytes="t.payload_bytes"))
_ARTIFACTS = tenant(_SIZES.format(table="artifacts", bytes="t.size"))
_SEARCH_ROWS = tenant(
    _SIZES.format(table="search_rows", bytes="pg_column_size(t.text) + pg_column_size(t.tsv)")
)
_SNAPSHOT_SIZES = tenant(f"""
    WITH looked AS (SELECT run FROM unnest(:runs::bigint[]) AS asked(run)), {_KEPT}
    SELECT k.run, count(*) AS items, coalesce(sum(s.parts_bytes), 0)::bigint AS bytes
    FROM k CROSS JOIN LATERAL ({_SNAPSHOTS}) AS s GROUP BY k.run
""")
_SIZES_OF = {
    RemovalKind.RUN: _EVENTS,
    RemovalKind.EVENTS: _EVENTS,
    RemovalKind.SNAPSHOTS: _SNAPSHOT_SIZES,
    RemovalKind.ARTIFACTS: _ARTIFACTS,
    RemovalKind.SEARCH_TEXT: _SEARCH_ROWS,
}


class Place(NamedTuple):
    """Where a pass over the runs of a project is."""

    status: int = 0
    run: int = 0


FIRST = Place()


class Candidate(NamedTuple):
    """Something of a run whose time is over by the policies named.

    `has_any` is False where nothing of it is left.
    """

    run: int
    run_id: str
    kind: RemovalKind
    policies: tuple[str, ...]
    blocker: Blocker | None
    has_any: bool


class Size(NamedTuple):
    """How much something of a run is."""

    items: int
    bytes: int


NOTHING = Size(0, 0)


async def looked(conn: Connection, project: str, *, after: Place, most: int) -> list[Place]:
    """The next runs of the project that have ended, or that an engine owns."""
    values = {"project": project, "most": most, **after._asdict()}
    return [Place(*row) for row in await conn.execute(_LOOKED, values)]


async def due(
    conn: Connection, project: str, runs: Sequence[int], policy: Policy = NO_POLICY
) -> list[Candidate]:
    """What there is to go of these runs and is not going yet, by run and kind.

    `policy` is taken for one that was put. Whether events were read is asked by `unread`.
    """
    found = await conn.execute(_PAGE, _asked(project, policy) | {"runs": list(runs)})
    return [_candidate(row) for row in found]


async def due_of(conn: Connection, project: str, run: int, kind: RemovalKind) -> Candidate | None:
    """Whether policies let something of a run go now; None if they do not."""
    values = _asked(project, NO_POLICY) | {"run": run, "kind": int(kind)}
    row = (await conn.execute(_OF_RUN, values)).one_or_none()
    return _candidate(row) if row else None


async def unread(
    conn: Connection, project: str, runs: Collection[int], *, idle: timedelta
) -> frozenset[int]:
    """Those of the runs with events that are not in the feed yet, or that a consumer or sink has
    not read which did something within `idle`.
    """
    if not runs:
        return frozenset()
    floor = (await conn.execute(_FLOOR, {"project": project, "idle": idle})).scalar_one()
    values = {"project": project, "runs": list(runs), "floor": floor}
    return frozenset((await conn.execute(_UNREAD, values)).scalars())


async def snapshots_to_go(
    conn: Connection, project: str, run: int, *, most: int
) -> dict[str, list[str]]:
    """Ids by namespace of snapshots that may go, the oldest first."""
    values = _asked(project, NO_POLICY) | {"run": run, "most": most}
    ids: dict[str, list[str]] = {}
    for row in await conn.execute(_SNAPSHOTS_OF_RUN, values):
        ids.setdefault(row["namespace"], []).append(row["snapshot_id"])
    return ids


async def sizes(
    conn: Connection, project: str, kind: RemovalKind, runs: Iterable[int], policy: Policy
) -> Mapping[int, Size]:
    """How much of the kind would go, by run."""
    values: dict[str, object] = {"runs": list(runs)}
    if kind is RemovalKind.SNAPSHOTS:
        values |= _asked(project, policy)
    found = await conn.execute(_SIZES_OF[kind], values)
    return {row["run"]: Size(row["items"], row["bytes"]) for row in found}


def _asked(project: str, policy: Policy) -> dict[str, object]:
    return {"project": project, **policies.values_of(policy)}


def _candidate(row: Row) -> Candidate:
    blocker = Blocker.HELD if row["is_held"] else Blocker.IN_USE if row["is_in_use"] else None
    return Candidate(
        row["run"],
        row["run_id"],
        RemovalKind(row["kind"]),
        tuple(row["names"]),
        blocker,
        row["has_any"],
    )
