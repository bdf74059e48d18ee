"""Callers by the names in their certificates, over gRPC and HTTP."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import runstore
from certificates import Authority
from conftest import make_store
from runstore_server.app import App
from runstore_server.identity.certificates import CertificateSubjects, names_in, names_of
from runstore_server.settings import Settings
from runstore_storage.contract.access import Grant, PrincipalKind, Role
from server.identity.issuing import KeyServer, SigningKey, issuer_setting

SPIFFE = "spiffe://acme/ns/agents/sa/planner"
GRANTS = {SPIFFE: ["writer@acme"], "agent.example.com": ["reader@*"]}
WRITER, READER = Grant(Role.WRITER, "acme"), Grant(Role.READER, "*")
SUBJECTS = CertificateSubjects({SPIFFE: (WRITER,), "agent.example.com": (READER,)})


@pytest.mark.parametrize(
    ("context", "names"),
    [
        ({}, ()),
        ({"peer_dns": [b"A.example", b"b"]}, ("a.example", "b")),
        (
            {"peer_dns": [b"a"], "peer_spiffe_id": [SPIFFE.encode()], "x509_common_name": [b"c"]},
            (SPIFFE, "a"),
        ),
        ({"peer_dns": [SPIFFE.encode(), b"\xff"]}, ("\ufffd",)),
        ({"peer_spiffe_id": [b"a.example"]}, ()),
    ],
)
def test_names_of_a_grpc_connection(context: dict[str, Any], names: tuple[str, ...]) -> None:
    assert names_of(context) == names


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (
            [("DNS", "A.example"), ("URI", SPIFFE), ("IP Address", "10.0.0.1")],
            (SPIFFE, "a.example"),
        ),
        ([("URI", SPIFFE), ("URI", "https://a")], ()),
        ([("URI", "https://a")], ()),
        ([("DNS", SPIFFE), ("email", "a.example")], ()),
    ],
)
def test_names_in_a_certificate(found: Sequence[tuple[str, str]], names: tuple[str, ...]) -> None:
    assert names_in({"subjectAltName": tuple(found)}) == names


@pytest.mark.parametrize("certificate", [None, {}, {"subject": ((("commonName", "a"),),)}])
def test_without_names_there_are_none(certificate: dict[str, Any] | None) -> None:
    assert names_in(certificate) == ()


def test_the_first_name_with_grants_decides_alone() -> None:
    found = SUBJECTS((SPIFFE, "agent.example.com"))
    other = SUBJECTS(("x", "agent.example.com", SPIFFE))

    assert found
    assert other
    assert (found.principal.kind, found.principal.id) == (PrincipalKind.CERTIFICATE, SPIFFE)
    assert found.grants == (WRITER,)
    assert other.grants == (READER,)
    assert SUBJECTS(()) is None
    assert SUBJECTS(("x.agent.example.com", SPIFFE + "/more")) is None


class Secured:
    """A server that knows callers by certificates, and the issuer of its tokens."""

    def __init__(self, grpc: str, http: str, authority: Authority) -> None:
        self.grpc, self.http, self._authority = grpc, http, authority

    async def over_grpc(self, pair: tuple[Path, Path], *, token: str | None = None) -> str:
        """What a caller with this certificate is told who saves a run in the project acme."""
        tls = runstore.Tls(self._authority.file, *pair)
        target = f"grpcs://{self.grpc.replace('127.0.0.1', 'localhost')}"
        async with runstore.connect(target, project="acme", tls=tls, token=token) as client:
            try:
                await client.save_run()
            except runstore.RunstoreError as error:
                return type(error).__name__
            return "OK"

    async def over_http(self, pair: tuple[Path, Path], *, token: str | None = None) -> int:
        """The status of reading acme's runs, the second time over the same connection."""
        context = ssl.create_default_context(cafile=str(self._authority.file))
        context.load_cert_chain(*pair)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(verify=context, headers=headers) as client:
            url = f"https://{self.http.replace('127.0.0.1', 'localhost')}/api/v1/runs?project=acme"
            first = await client.get(url)
            again = await client.get(url)
        assert first.status_code == again.status_code
        return again.status_code


@pytest.fixture
async def secured(
    settings: Settings, authority: Authority, key_server: KeyServer, key: SigningKey
) -> AsyncIterator[Secured]:
    certificate, private = authority.issue("server")
    configured = Settings(
        **settings.model_dump()
        | {
            "tls_cert_file": certificate,
            "tls_key_file": private,
            "tls_client_ca_file": authority.file,
            "auth": "required",
            "tls_grants": GRANTS,
            "jwt_issuers": [issuer_setting(key_server, authority)],
        }
    )
    server = App(configured, make_store(str(settings.database_url), settings.db_schema))
    address = await server.start()
    yield Secured(address, str(server.http_address), authority)
    await server.drain()


async def test_a_certificate_with_grants_is_a_caller(
    secured: Secured, authority: Authority
) -> None:
    by_id = authority.issue("a", uris=[SPIFFE])
    by_name = authority.issue("b", names=["Agent.example.com"])

    assert await secured.over_grpc(by_id) == "OK"
    assert await secured.over_http(by_id) == 200
    assert await secured.over_grpc(by_name) == "PermissionDenied"
    assert await secured.over_http(by_name) == 200


async def test_one_without_is_none(secured: Secured, authority: Authority) -> None:
    for pair in (
        authority.issue("agent.example.com"),  # only its common name says so
        authority.issue("b", names=["other.example.com", "sub.agent.example.com"]),
        authority.issue("c", uris=["spiffe://acme/ns/agents/sa/other"]),
        authority.issue("d", uris=[SPIFFE, "https://more.example"]),
        authority.issue("e", uris=["https://agent.example.com"]),
    ):
        assert await secured.over_grpc(pair) == "Unauthenticated"
        assert await secured.over_http(pair) == 401


async def test_a_token_decides_alone(
    secured: Secured, authority: Authority, key: SigningKey
) -> None:
    writes = authority.issue("a", uris=[SPIFFE])
    nobody = authority.issue("b")

    assert await secured.over_grpc(writes, token=key.token()) == "PermissionDenied"
    assert await secured.over_http(writes, token=key.token()) == 403
    assert await secured.over_grpc(writes, token="made.up.token") == "Unauthenticated"
    assert await secured.over_http(writes, token="made.up.token") == 401
    of_acme = key.token(runstore="writer@acme")
    assert await secured.over_grpc(nobody, token=of_acme) == "OK"
    assert await secured.over_http(nobody, token=of_acme) == 200
