"""Access on Postgres. The contract is `AdminStore`; each method here is its transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from runstore_storage.admin import records
from runstore_storage.contract.admin import (
    Act,
    AdminRecord,
    KnownToken,
    Limits,
    NewToken,
    ProjectLimits,
    RecordVerification,
    Token,
    TokenCursor,
)
from runstore_storage.contract.errors import TokenNotFound
from runstore_storage.contract.pages import Page
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.database.engine import Database, consistent, reading, writing
from runstore_storage.database.in_flight import WritesInFlight, finish_despite_cancellation
from runstore_storage.sql import admin_records, limits, projects, stored_bytes, tokens


class PostgresAdmin:
    """Shares the connections of the store that makes it."""

    def __init__(self, engine: Database, in_flight: WritesInFlight) -> None:
        self._engine = engine
        self._in_flight = in_flight

    async def credential_epoch(self) -> int:
        async with reading(self._engine) as conn:
            return await tokens.epoch(conn)

    async def find_token(self, token_id: str) -> KnownToken | None:
        async with reading(self._engine) as conn:
            return await tokens.find(conn, token_id)

    async def note_use(self, used: Mapping[str, datetime]) -> None:
        async with writing(self._engine) as conn:
            await tokens.note_use(conn, used)

    @finish_despite_cancellation
    async def create_token(self, new: NewToken, act: Act) -> tuple[Token, bool]:
        async with writing(self._engine) as conn:
            if before := await records.repeated(conn, act):
                found = await tokens.get(conn, act.project, _id_in(before.act.resource))
                assert found is not None, "tokens are never removed"
                return found, True
            made = await tokens.insert(conn, new, act.principal)
            done = replace(act, resource=_resource(made.token_id))
            await records.record(conn, done, is_allowed=True, status=records.OK)
            return made, False

    async def list_tokens(
        self, project: str, *, limit: int, after: TokenCursor | None
    ) -> Page[Token, TokenCursor]:
        async with reading(self._engine) as conn:
            found = await tokens.page(conn, project, limit=limit + 1, after=after)
        return Page.of(found, limit, lambda token: TokenCursor(token.created_at, token.token_id))

    @finish_despite_cancellation
    async def revoke_token(self, token_id: str, act: Act) -> tuple[Token, bool]:
        async with writing(self._engine) as conn:
            before = await records.repeated(conn, act)
            ended = await tokens.revoke(conn, act.project, token_id)
            token = ended or await tokens.get(conn, act.project, token_id)
            if token is None:
                raise TokenNotFound(token_id)
            if ended:
                await tokens.next_epoch(conn)
            if not before:
                await records.record(conn, act, is_allowed=True, status=records.OK)
            return token, ended is None

    @finish_despite_cancellation
    async def set_limits(self, new: Limits, act: Act) -> tuple[Limits, bool]:
        async with writing(self._engine) as conn:
            if await records.repeated(conn, act):
                return new, True
            await limits.set_(conn, act.project, new)
            await tokens.next_epoch(conn)
            await records.record(conn, act, is_allowed=True, status=records.OK)
            return new, False

    async def get_limits(self, project: str) -> ProjectLimits:
        async with reading(self._engine) as conn:
            stored = await stored_bytes.of_project(conn, project)
            return ProjectLimits(*await limits.get(conn, project), stored)

    async def all_limits(self) -> Mapping[str, Limits]:
        async with reading(self._engine) as conn:
            return await limits.all_(conn)

    async def stored_bytes(self) -> Mapping[str, int]:
        async with reading(self._engine) as conn:
            return await stored_bytes.of_limited(conn)

    async def list_projects(
        self, patterns: Collection[str], *, limit: int, after: str
    ) -> Page[str, str]:
        async with reading(self._engine) as conn:
            found = await projects.page(conn, patterns, limit=limit + 1, after=after)
        return Page.of(found, limit, lambda name: name)

    @finish_despite_cancellation
    async def record_refusal(self, act: Act, status: str) -> None:
        # What the caller may not touch, the server notes in its own name.
        with bound(Scope(act.project)):
            async with writing(self._engine) as conn:
                await records.record(conn, act, is_allowed=False, status=status)

    async def list_records(
        self, project: str, *, limit: int, after: int | None
    ) -> Page[AdminRecord, int]:
        async with reading(self._engine) as conn:
            found = await admin_records.page(conn, project, limit=limit + 1, before=after)
        return Page.of(found, limit, lambda record: record.number)

    async def verify_records(self, project: str, *, from_number: int) -> RecordVerification:
        async with consistent(self._engine) as conn:
            return await records.verify(conn, project, from_number)


def _resource(token_id: str) -> str:
    return f"tokens/{token_id}"


def _id_in(resource: str) -> str:
    return resource.rpartition("/")[2]
