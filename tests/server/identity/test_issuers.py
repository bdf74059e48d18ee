"""The settings of issuers and of certificates' names, and what is said of wrong ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import make_store
from runstore_server.app import App
from runstore_server.cli.environment import settings_of
from runstore_server.edge.identity import CannotKnowCallers
from runstore_server.settings import AUTH_SETTINGS, Settings
from runstore_storage.contract.access import Grant, Role

URL = "https://issuer.example/jwks"
ISSUER = {"issuer": "i", "audience": "a", "jwks_url": URL, "grants_claim": "g"}
RULE = {"claim": "sub", "equals": "a", "grants": ["writer@a"]}
NAMES = {"agent.example.com": ["writer@acme/*"]}


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNSTORE_AUTH", "required")


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """What a command prints that cannot use the settings."""
    with pytest.raises(typer.Exit):
        settings_of()
    return capsys.readouterr().err


def test_an_issuer_needs_little(monkeypatch: pytest.MonkeyPatch, required: None) -> None:
    monkeypatch.setenv("RUNSTORE_JWT_ISSUERS", json.dumps([ISSUER]))

    (found,) = Settings().jwt_issuers

    assert (found.issuer, found.audience, str(found.jwks_url)) == ("i", "a", URL)
    assert found.algorithms == ("RS256", "ES256", "EdDSA")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"issuer": None}, "ISSUERS.0.issuer: "),
        ({"audience": ""}, "ISSUERS.0.audience: "),
        ({"jwks_url": None}, "ISSUERS.0: must have one of jwks_url and jwks_file"),
        ({"jwks_file": __file__}, "ISSUERS.0: must have one of jwks_url and jwks_file"),
        ({"jwks_url": "http://issuer.example/jwks"}, "URL scheme should be 'https'"),
        ({"jwks_url": "file:///etc/passwd"}, "URL scheme should be 'https'"),
        ({"jwks_url": "https://me:canary@i/"}, "must not hold a name or a password"),
        ({"ca_file": 7}, "ISSUERS.0.ca_file: "),
        ({"jwks_url": None, "jwks_file": __file__, "ca_file": __file__}, "are for a jwks_url"),
        ({"algorithms": ["HS256"]}, "ISSUERS.0.algorithms.0: "),
        ({"algorithms": ["none"]}, "ISSUERS.0.algorithms.0: "),
        ({"algorithms": []}, "ISSUERS.0: must have algorithms"),
        ({"grants_claim": None}, "must have one of grants_claim and rules"),
        ({"rules": [RULE]}, "must have one of grants_claim and rules"),
        ({"grants_claim": None, "rules": [RULE | {"contains": "b"}]}, "must have one of equals"),
        ({"grants_claim": None, "rules": [RULE | {"equals": None}]}, "must have one of equals"),
        ({"grants_claim": None, "rules": [RULE | {"grants": []}]}, "rules.0: must have grants"),
        ({"grants_claim": None, "rules": [RULE | {"grants": ["root@a"]}]}, "'root@a' does not"),
        ({"jwks_uri": URL}, "ISSUERS.0.jwks_uri: Extra inputs"),
    ],
)  # fmt: skip
def test_a_wrong_issuer_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    required: None,
    change: dict[str, Any],
    said: str,
) -> None:
    given = {name: value for name, value in (ISSUER | change).items() if value is not None}
    monkeypatch.setenv("RUNSTORE_JWT_ISSUERS", json.dumps([given]))

    line = refused(capsys)

    assert "RUNSTORE_JWT_ISSUERS.0" in line
    assert said in line
    assert line.count("\n") == 1
    assert "canary" not in line


def test_an_issuer_is_there_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], required: None
) -> None:
    monkeypatch.setenv("RUNSTORE_JWT_ISSUERS", json.dumps([ISSUER, ISSUER | {"audience": "b"}]))

    assert "RUNSTORE_JWT_ISSUERS: several are of the issuer i\n" in refused(capsys)


@pytest.mark.parametrize("name", AUTH_SETTINGS)
def test_what_says_who_calls_is_refused_where_nobody_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    given = {"jwt_issuers": [ISSUER], "tls_grants": NAMES}[name]
    monkeypatch.setenv(f"RUNSTORE_{name.upper()}", json.dumps(given))

    assert f"RUNSTORE_{name.upper()}: needs RUNSTORE_AUTH=required\n" in refused(capsys)
    monkeypatch.setenv("RUNSTORE_AUTH", "required")
    assert getattr(Settings(), name)


async def test_grants_of_certificates_need_their_authority(settings: Settings) -> None:
    given = settings.model_dump() | {"auth": "required", "tls_grants": NAMES}

    with pytest.raises(CannotKnowCallers, match="GRANTS needs RUNSTORE_TLS_CLIENT_CA_FILE"):
        App(Settings(**given), make_store(str(settings.database_url), settings.db_schema))


@pytest.mark.parametrize("name", ["jwks_file", "ca_file", "bearer_token_file"])
async def test_files_that_are_not_there_are_told_by_servers_alone(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    missing = tmp_path / "missing"
    issuer = ISSUER | {name: str(missing)}
    if name == "jwks_file":
        del issuer["jwks_url"]
    given = Settings(**settings.model_dump() | {"auth": "required", "jwt_issuers": [issuer]})

    with pytest.raises(CannotKnowCallers, match=f"{missing} cannot be read: No such file"):
        App(given, make_store(str(settings.database_url), settings.db_schema))


def test_names_are_dns_names_and_spiffe_ids() -> None:
    found = Settings(
        auth="required",
        tls_grants={"Agent.example.com": ["writer@a"], "spiffe://acme/ns/Agents": ["reader@*"]},
    ).tls_grants

    assert found == {
        "agent.example.com": (Grant(Role.WRITER, "a"),),
        "spiffe://acme/ns/Agents": (Grant(Role.READER, "*"),),
    }


@pytest.mark.parametrize("name", ["", "*.example.com", "https://a/b", "spiffe://", "a b", "a/b"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="tls_grants"):
        Settings(auth="required", tls_grants={name: ["writer@a"]})
