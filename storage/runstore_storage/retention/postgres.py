"""Retention on Postgres. The contract is `RetentionStore`."""

from __future__ import annotations

from datetime import timedelta

from runstore_storage.admin import records
from runstore_storage.contract.admin import Act
from runstore_storage.contract.errors import PolicyNotFound
from runstore_storage.contract.pages import Page
from runstore_storage.contract.retention import KeptPolicy, Policy, Preview
from runstore_storage.database.engine import Database, reading, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.retention.previewing import preview
from runstore_storage.retention.retaining import Decided, Retaining
from runstore_storage.sql import policies


class PostgresRetention:
    """Shares the connections of the store that makes it; `decided` is told of what is let go."""

    def __init__(self, engine: Database, in_flight: WritesInFlight, decided: Decided) -> None:
        self._engine = engine
        self._in_flight = in_flight
        self.retain = Retaining(engine, decided).step

    @finish_despite_cancellation
    async def put_policy(self, policy: Policy, act: Act) -> tuple[KeptPolicy, bool]:
        async with writing(self._engine) as conn:
            if before := await records.repeated(conn, act):
                return KeptPolicy(policy, before.act.principal, before.recorded_at), True
            added = await records.record(conn, act, is_allowed=True, status=records.OK)
            kept = KeptPolicy(policy, act.principal, added.recorded_at)
            await policies.put(conn, act.project, kept)
            return kept, False

    @finish_despite_cancellation
    async def delete_policy(self, name: str, act: Act) -> bool:
        async with writing(self._engine) as conn:
            if await records.repeated(conn, act):
                return True
            if not await policies.delete(conn, act.project, name):
                raise PolicyNotFound(name)
            await records.record(conn, act, is_allowed=True, status=records.OK)
            return False

    async def list_policies(
        self, project: str, *, limit: int, after: str | None
    ) -> Page[KeptPolicy, str]:
        async with reading(self._engine) as conn:
            found = await policies.page(conn, project, limit=limit + 1, after=after or "")
        return Page.of(found, limit, lambda kept: kept.policy.name)

    async def preview_retention(
        self, project: str, policy: Policy | None, *, idle: timedelta
    ) -> Preview:
        return await preview(self._engine, project, policy, idle=idle)
