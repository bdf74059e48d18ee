"""The ledger on Postgres. The contract is `LedgerStore`."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from hashlib import sha256

from runstore_storage.admin.removable import birth_of
from runstore_storage.contract.access import Principal
from runstore_storage.contract.admin import Act
from runstore_storage.contract.erasures import ErasureState, ErasureStore, Seqs
from runstore_storage.contract.errors import RunHeld, RunInUse, RunNotFound, RunOpen
from runstore_storage.contract.ledger import Applied, LedgerEntry
from runstore_storage.contract.removals import RemovalStore
from runstore_storage.database.engine import Database, reading
from runstore_storage.sql import heads, ledger

PAGE = 500


class PostgresLedger:
    """Shares the connections of the store that makes it."""

    def __init__(self, engine: Database, removals: RemovalStore, erasures: ErasureStore) -> None:
        self._engine = engine
        self._removals = removals
        self._erasures = erasures

    async def entries(self) -> AsyncGenerator[LedgerEntry]:
        for page in (ledger.deleted, ledger.erased):
            after: int | None = 0
            while after is not None:
                async with reading(self._engine) as conn:
                    found = await page(conn, after=after, limit=PAGE)
                for each in found:
                    yield each.entry
                after = found[-1].place if found else None

    async def apply(self, entry: LedgerEntry, by: Principal) -> Applied:
        left = await self._left(entry)
        if left is None:
            return Applied.DONE
        act = _act(left, by)
        if not entry.is_deleted:
            erasure, _ = await self._erasures.erase_events(entry.key, left.erased, act)
            if any(not each.is_archived for each in erasure.blockers):
                return Applied.REFUSED
            return Applied.DONE if erasure.state is ErasureState.DONE else Applied.ASKED
        try:
            await self._removals.delete_run(entry.key, expected_last_seq=None, act=act)
        except (RunHeld, RunInUse, RunOpen):
            return Applied.REFUSED
        return Applied.ASKED

    async def _left(self, entry: LedgerEntry) -> LedgerEntry | None:
        """What of an entry is to be done here; none of the events that this run does not have."""
        async with reading(self._engine) as conn:
            try:
                head = await heads.get(conn, entry.key)
                birth = await birth_of(conn, entry.key)
            except RunNotFound:
                return None
            if birth != entry.birth:
                return None
            if entry.is_deleted:
                return entry
            there = tuple(
                Seqs(first, min(last, head.last_seq))
                for first, last in entry.erased
                if first <= head.last_seq
            )
            has_left = await ledger.has_unerased(conn, head.run, there)
        return replace(entry, erased=there) if has_left else None


def _act(entry: LedgerEntry, by: Principal) -> Act:
    """What is recorded; the same entry is the same request."""
    what = json.dumps({"erased": entry.erased} if entry.erased else {"deleted": True})
    name = sha256(entry.birth + what.encode()).hexdigest()
    return Act(
        project=entry.key.project,
        method="DeleteRun" if entry.is_deleted else "EraseEvents",
        resource=f"runs/{entry.key.run_id}",
        principal=by,
        grants=(),
        peer="",
        call_id="",
        request_id=f"ledger {name}",
        request=what,
    )
