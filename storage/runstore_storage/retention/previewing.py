"""What policies would let go now, counted and not touched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.retention import Blocker, Due, Policy, Preview
from runstore_storage.database.engine import Database, reading
from runstore_storage.retention.choosing import blocked_by
from runstore_storage.sql import retention
from runstore_storage.sql.retention import FIRST, NO_POLICY, Candidate

# Runs that are looked at, and in one statement.
MOST_RUNS = 10_000
PAGE = 500
SAMPLES = 10


@dataclass(slots=True)
class _Sum:
    runs: int = 0
    items: int = 0
    bytes: int = 0
    samples: list[str] = field(default_factory=list)


async def preview(
    engine: Database, project: str, policy: Policy | None, *, idle: timedelta
) -> Preview:
    """As `RetentionStore.preview_retention`. Each page of runs is a transaction of its own."""
    asked = policy or NO_POLICY
    sums: dict[tuple[RemovalKind, Blocker | None], _Sum] = defaultdict(_Sum)
    after, looked = FIRST, 0
    while looked < MOST_RUNS:
        async with reading(engine) as conn:
            places = await retention.looked(conn, project, after=after, most=PAGE)
            if not places:
                break
            runs = [place.run for place in places]
            found = await retention.due(conn, project, runs, asked)
            unread = await retention.unread(conn, project, {each.run for each in found}, idle=idle)
            chosen = blocked_by(found, unread)
            for kind in RemovalKind:
                of_kind = {
                    each.run: (each, blocker) for each, blocker in chosen if each.kind is kind
                }
                sizes = (
                    await retention.sizes(conn, project, kind, of_kind, asked) if of_kind else {}
                )
                for run, (each, blocker) in of_kind.items():
                    _add(sums[kind, blocker], each, sizes.get(run, retention.NOTHING))
        after, looked = places[-1], looked + len(places)
    async with reading(engine) as conn:
        has_more = bool(await retention.looked(conn, project, after=after, most=1))
    return Preview(tuple(_due(sums)), looked, has_more)


def _add(to: _Sum, each: Candidate, size: retention.Size) -> None:
    to.runs += 1
    to.items += size.items
    to.bytes += size.bytes
    if len(to.samples) < SAMPLES:
        to.samples.append(each.run_id)


def _due(sums: dict[tuple[RemovalKind, Blocker | None], _Sum]) -> Iterable[Due]:
    for (kind, blocker), each in sorted(
        sums.items(), key=lambda item: (item[0][0], item[0][1] or 0)
    ):
        yield Due(kind, blocker, each.runs, each.items, each.bytes, tuple(each.samples))
