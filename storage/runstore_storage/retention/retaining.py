"""The duty `retention`: deciding what goes or is archived by policies, run by run.

A pass goes over all runs of all projects that have policies. What is chosen of a page is decided
run by run, in a transaction each, which asks again under the locks that writers, forks and holds
take.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol

from runstore_storage.archives.deciding import decide_archive
from runstore_storage.contract.access import Principal, PrincipalKind
from runstore_storage.contract.admin import Act
from runstore_storage.contract.errors import RunHeld, RunNotFound, StorageUnavailable
from runstore_storage.contract.feed import RETENTION
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.removals.deciding import decide
from runstore_storage.retention.choosing import blocked_by
from runstore_storage.run_write import lock_run
from runstore_storage.sql import admin_records, duties, holds, policies, retention
from runstore_storage.sql.retention import FIRST, Candidate

# Runs that are looked at in one statement.
PAGE = 1000
METHOD = "Retention"


class Decided(Protocol):
    """Told of each run of which something was decided to go, and whether that is all of it."""

    def __call__(self, key: RunKey, *, of_run: bool) -> None: ...


_log = logging.getLogger(__name__)


class Retaining:
    """Does the duty for one process."""

    def __init__(self, engine: Database, decided: Decided) -> None:
        self._engine = engine
        self._decided = decided
        self._project = ""
        """The project that the pass is in, and the last run that it has looked at."""
        self._after = FIRST

    async def step(self, holder: str, *, idle: timedelta) -> int | None:
        """As `RetentionStore.retain`."""
        while True:
            if not self._project and not await self._next_project():
                return 0
            decided = await self._decide_page(holder, idle)
            if decided is None or decided:
                return decided
            if self._after == FIRST and not await self._next_project():
                return 0

    async def _next_project(self) -> bool:
        """Go on to the next project that has policies; False at the end, where a pass begins."""
        async with reading(self._engine) as conn:
            self._project = await policies.next_project(conn, self._project) or ""
        self._after = FIRST
        return bool(self._project)

    async def _decide_page(self, holder: str, idle: timedelta) -> int | None:
        """Decide what goes of the next runs of the project; how many removals that are."""
        project, done = self._project, 0
        with bound(Scope(project)):
            async with reading(self._engine) as conn:
                places = await retention.looked(conn, project, after=self._after, most=PAGE)
                found = await retention.due(conn, project, [place.run for place in places])
                due = {each.run for each in found}
                unread = await retention.unread(conn, project, due, idle=idle)
            chosen: defaultdict[str, list[Candidate]] = defaultdict(list)
            for each, blocker in blocked_by(found, unread):
                if blocker is None:
                    chosen[each.run_id].append(each)
            for run_id, candidates in chosen.items():
                decided = await self._try(holder, RunKey(project, run_id), candidates)
                if decided is None:
                    return None
                done += decided
        self._after = places[-1] if places else FIRST
        return done

    async def _try(self, holder: str, key: RunKey, candidates: list[Candidate]) -> int | None:
        """Decide what goes of a run; one that fails lets the next one go on, to the next pass."""
        try:
            kinds = await self._decide(holder, key, candidates)
        except StorageUnavailable:
            raise
        except Exception:
            _log.exception("policies cannot be applied to a run of project %s", key.project)
            return 0
        if kinds:
            self._decided(key, of_run=RemovalKind.RUN in kinds)
        return None if kinds is None else len(kinds)

    async def _decide(
        self, holder: str, key: RunKey, candidates: Iterable[Candidate]
    ) -> list[RemovalKind] | None:
        """What goes of a run after all; None when the duty was lost."""
        acts: dict[RemovalKind, Act] = {}
        async with writing(self._engine) as conn:
            if await duties.fence(conn, RETENTION, holder) is None:
                return None
            # In the order in which those lock that delete a run.
            await admin_records.lock(conn, key.project)
            try:
                head = (await lock_run(conn, key)).head
                await holds.refuse_if_held(conn, key, head.run)
            except (RunNotFound, RunHeld):
                return []
            for each in candidates:
                still = await retention.due_of(conn, key.project, head.run, each.kind)
                if still and still.has_any and not still.blocker:
                    acts[each.kind] = _act(key, still)
            kinds = list(acts)
            if archiving := acts.pop(RemovalKind.EVENTS, None):
                await decide_archive(conn, key, head, archiving)
            if acts:
                await decide(conn, key, head, acts)
        return kinds


def _act(key: RunKey, candidate: Candidate) -> Act:
    """What is recorded: whose doing it is, and by which policies."""
    return Act(
        project=key.project,
        method=METHOD,
        resource=f"runs/{key.run_id}",
        principal=Principal(PrincipalKind.DUTY, RETENTION),
        grants=(),
        peer="",
        call_id="",
        request_id="",
        request=json.dumps({"kind": candidate.kind.name, "policies": candidate.policies}),
    )
