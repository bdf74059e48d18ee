"""A server that asks who calls, and tokens for it; its fixtures are loaded by conftest.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio
from conftest import make_served_store
from runstore_server.app import App
from runstore_server.identity.tokens import NewText, new_token
from runstore_server.settings import Settings
from runstore_storage.contract.access import Grant, Principal, PrincipalKind, Role
from runstore_storage.contract.admin import Act, NewToken
from runstore_storage.postgres import PostgresStore

TESTER = Principal(PrincipalKind.DATABASE, "tests")


@dataclass(frozen=True)
class Guarded:
    """The addresses of a server that asks who calls."""

    grpc: str
    http: str


@pytest_asyncio.fixture(scope="session")
async def guarded(
    database_url: str, db_schema: str, store: PostgresStore
) -> AsyncIterator[Guarded]:
    settings = Settings(
        database_url=database_url,
        db_schema=db_schema,
        port=0,
        http_port=0,
        drain_seconds=1,
        auth="required",
    )
    server = App(settings, make_served_store(database_url, db_schema))
    address = await server.start()
    yield Guarded(address, str(server.http_address))
    await server.drain()


@pytest_asyncio.fixture
async def channel(guarded: Guarded) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(guarded.grpc) as opened:
        yield opened


def sent_with(token: str) -> list[tuple[str, str]]:
    """The metadata of a call that shows a token."""
    return [("authorization", f"Bearer {token}")]


def act_of(project: str, method: str = "CreateToken") -> Act:
    return Act(project, method, "tokens", TESTER, (), "", uuid4().hex, "", "{}")


MakeToken = Callable[..., Awaitable[NewText]]


@pytest.fixture
def make_token(store: PostgresStore) -> MakeToken:
    """Makes a token of grants such as "writer@acme/a"; with `seconds` to live."""

    async def make(*grants: str, seconds: float = 3600, owner: str = "tests") -> NewText:
        made = new_token()
        new = NewToken(made.token_id, owner, "test", grants_of(*grants), seconds, made.secret_hash)
        await store.admin.create_token(new, act_of(owner))
        return made

    return make


def grants_of(*texts: str) -> tuple[Grant, ...]:
    parts = [text.partition("@") for text in texts]
    return tuple(Grant(Role[role.upper()], pattern) for role, _, pattern in parts)


async def revoke(store: PostgresStore, token: NewText, owner: str = "tests") -> None:
    await store.admin.revoke_token(token.token_id, act_of(owner, "RevokeToken"))
