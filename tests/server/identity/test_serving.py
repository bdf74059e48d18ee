"""A server whose callers show JSON Web Tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import runstore
from certificates import Authority
from conftest import make_store
from runstore_server.app import App
from runstore_server.settings import Settings
from server.identity.issuing import KeyServer, SigningKey, answering, issuer_setting
from until import until


@asynccontextmanager
async def serving(settings: Settings, *issuers: dict[str, Any]) -> AsyncIterator[App]:
    given = settings.model_dump() | {"auth": "required", "jwt_issuers": issuers}
    server = App(Settings(**given), make_store(str(settings.database_url), settings.db_schema))
    server.address = await server.start()  # type: ignore[attr-defined]
    try:
        yield server
    finally:
        await server.drain()


@pytest.fixture
async def server(
    settings: Settings, key_server: KeyServer, authority: Authority
) -> AsyncIterator[App]:
    async with serving(settings, issuer_setting(key_server, authority)) as started:
        yield started


async def saved(server: Any, token: str, project: str = "acme/a") -> str:
    """What a caller is told who saves a run."""
    async with runstore.connect(server.address, project=project, token=token) as client:
        try:
            await client.save_run()
        except runstore.RunstoreError as error:
            return type(error).__name__
        return "OK"


async def read(server: App, token: str, project: str = "acme/a") -> int:
    """The status of reading a project's runs over HTTP."""
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}) as client:
        url = f"http://{server.http_address}/api/v1/runs"
        return (await client.get(url, params={"project": project})).status_code


def sample(server: App, name: str, **labels: str) -> float | None:
    return server._metrics.registry.get_sample_value(name, labels)


async def test_a_token_opens_what_its_claim_says(server: App, key: SigningKey) -> None:
    token = key.token(runstore=["writer@acme/*"])

    assert await saved(server, token) == "OK"
    assert await read(server, token) == 200
    assert await saved(server, token, "other") == "PermissionDenied"
    assert await read(server, token, "other") == 403


async def test_other_tokens_open_nothing(server: App, key: SigningKey) -> None:
    now = int(time.time())
    expired = key.token(iat=now - 600, exp=now - 60, runstore="admin@*")

    assert await saved(server, key.token()) == "PermissionDenied"
    assert await saved(server, expired) == "CredentialExpired"
    assert await read(server, expired) == 401
    for token in (SigningKey().token(runstore="admin@*"), key.token(aud="x", runstore="admin@*")):
        assert await saved(server, token) == "Unauthenticated"
        assert await read(server, token) == 401


async def test_service_accounts_are_known_by_rules(
    settings: Settings, key_server: KeyServer, authority: Authority, key: SigningKey
) -> None:
    accounts = "system:serviceaccount:agents:"
    rule = {"claim": "sub", "matches": accounts + "*", "grants": ["writer@acme/*"]}
    setting = issuer_setting(key_server, authority, rules=[rule])
    del setting["grants_claim"]

    async with serving(settings, setting) as server:
        assert await saved(server, key.token(sub=accounts + "planner")) == "OK"
        assert await saved(server, key.token(sub="system:serviceaccount:x:y")) == "PermissionDenied"


async def test_the_age_of_the_keys_is_shown(server: App, key_server: KeyServer) -> None:
    issuer = "https://issuer.example"

    await until(lambda: (sample(server, "runstore_jwks_age_seconds", issuer=issuer) or 0) < 60)

    assert len(key_server.requests) == 1


async def test_an_issuer_that_is_down_does_not_keep_the_server_from_starting(
    settings: Settings, key_server: KeyServer, authority: Authority, key: SigningKey
) -> None:
    key_server.answer = answering(b"", "503 Down")

    async with serving(settings, issuer_setting(key_server, authority)) as server:
        await key_server.asked.wait()
        issuer = "https://issuer.example"
        assert sample(server, "runstore_jwks_age_seconds", issuer=issuer) == float("inf")
        key_server.publish(key)
        assert await saved(server, key.token(runstore="writer@acme/*")) == "OK"


async def test_a_stream_ends_when_its_token_expires_and_when_its_key_is_withdrawn(
    server: App, key: SigningKey, key_server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runstore_server.identity.jwt_tokens.LEEWAY_SECONDS", 0)
    now = int(time.time())
    soon = key.token(runstore="writer@acme/*", exp=now + 4, sub="a")
    later = key.token(runstore="writer@acme/*", sub="b")

    expired = asyncio.create_task(followed(server, soon))
    withdrawn = asyncio.create_task(followed(server, later))

    assert await expired == "CredentialExpired"
    assert not withdrawn.done()
    key_server.publish(SigningKey("two"))
    keys = server._bearers._issuers["https://issuer.example"][1]  # type: ignore[union-attr]
    keys._begin(replaces=True)
    assert await withdrawn == "PermissionDenied"


async def followed(server: Any, token: str) -> str:
    """Why a stream of a run ended."""
    async with runstore.connect(server.address, project="acme/a", token=token) as client:
        run = await client.save_run()
        try:
            async for _ in run.events(follow=True):
                pass
        except runstore.RunstoreError as error:
            return type(error).__name__
        return "OK"
