"""The settings of callers that docs/security.md shows do what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from runstore_server.identity.claims import grants_of
from runstore_server.identity.issuers import IssuerSettings
from runstore_server.settings import Settings
from runstore_storage.contract.access import Grant, Role

DOC = (Path(__file__).parents[3] / "docs" / "security.md").read_text()


def shown(language: str) -> list[str]:
    """The code blocks of a language."""
    blocks = (found.split("\n", 1) for found in DOC.split("```")[1::2])
    return [text for name, text in blocks if name == language]


def issuer_of(text: str) -> IssuerSettings:
    (found,) = Settings(auth="required", jwt_issuers=json.loads(text)).jwt_issuers
    return found


def test_the_identity_provider_that_is_shown_gives_grants_by_groups() -> None:
    issuer = issuer_of(shown("json")[0])

    developers = grants_of({"groups": ["x", "agent-developers"]}, issuer)

    assert developers == (Grant(Role.WRITER, "acme/*"),)
    assert len(grants_of({"groups": ["platform", "agent-developers"]}, issuer)) == 3
    assert grants_of({"groups": ["x"]}, issuer) == ()


def test_the_names_in_certificates_that_are_shown_are_taken() -> None:
    given = Settings(auth="required", tls_grants=json.loads(shown("json")[1]))

    assert given.tls_grants["board.example.com"] == (Grant(Role.READER, "*"),)


def test_the_service_accounts_that_are_shown_are_known() -> None:
    server, pod = (yaml.safe_load(text) for text in shown("yaml"))
    issuer = issuer_of(server["settings"]["jwt_issuers"])
    volumes = server["extraVolumes"], server["extraVolumeMounts"]

    assert grants_of({"sub": "system:serviceaccount:agents:planner"}, issuer)
    assert {str(issuer.ca_file), str(issuer.bearer_token_file)} == mounted(*volumes)
    (container,) = pod["spec"]["containers"]
    assert mounted(pod["spec"]["volumes"], container["volumeMounts"]) == {
        container["env"][0]["value"]
    }
    (token,) = pod["spec"]["volumes"][0]["projected"]["sources"]
    assert token["serviceAccountToken"]["audience"] == issuer.audience


def mounted(volumes: list[Any], mounts: list[Any]) -> set[str]:
    """The files that a container sees of projected volumes."""
    ((volume,), (mount,)) = volumes, mounts
    assert volume["name"] == mount["name"]
    found: set[str] = set()
    for source in volume["projected"]["sources"]:
        for of_kind in source.values():
            items = of_kind.get("items", [of_kind])
            found |= {f"{mount['mountPath']}/{item['path']}" for item in items}
    return found
