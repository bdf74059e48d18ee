"""What tokens grant, and grants as text."""

from __future__ import annotations

from typing import Any

import pytest
from runstore_server.identity.claims import grants_of
from runstore_server.identity.grants import grant_of
from runstore_server.identity.issuers import IssuerSettings
from runstore_storage.contract.access import Grant, Role
from structlog.testing import capture_logs

WRITER = Grant(Role.WRITER, "acme/*")
READER = Grant(Role.READER, "*")


def issuer(**given: Any) -> IssuerSettings:
    return IssuerSettings.model_validate(
        {"issuer": "i", "audience": "a", "jwks_url": "https://i/jwks"} | given
    )


def ruled(**condition: str) -> IssuerSettings:
    return issuer(rules=[{"claim": "c", "grants": ["writer@acme/*"], **condition}])


@pytest.mark.parametrize(
    ("text", "grant"),
    [
        ("writer@acme/*", WRITER),
        ("reader@*", READER),
        ("recorder@acme", Grant(Role.RECORDER, "acme")),
        ("admin@a@b", Grant(Role.ADMIN, "a@b")),
        ("operator@*", Grant(Role.OPERATOR, "*")),
        ("reader@" + "a" * 200, Grant(Role.READER, "a" * 200)),
        ("reader@" + "a" * 200 + "/*", Grant(Role.READER, "a" * 200 + "/*")),
    ],
)
def test_a_grant_is_a_role_and_a_pattern(text: str, grant: Grant) -> None:
    assert grant_of(text) == grant
    assert str(grant) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "writer", "writer@", "Writer@a", "root@a", "@a", "writer@/*", "writer@a*", "writer@a b",
        "writer@*/*", "writer@**", "operator@acme", "operator@acme/*", "writer@a\n", "writer@a\0",
        " writer@a", "reader@" + "a" * 201, 7, None, ["writer@a"],
    ],
)  # fmt: skip
def test_what_is_no_grant_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"text such as|begin with|must be|end with"):
        grant_of(text)


@pytest.mark.parametrize("written", [["writer@acme/*", "reader@*"], "writer@acme/*  reader@*"])
def test_a_claim_holds_grants_as_a_list_or_with_blanks(written: object) -> None:
    assert grants_of({"g": written}, issuer(grants_claim="g")) == (WRITER, READER)


def test_what_is_no_grant_in_a_claim_is_passed_over_and_logged() -> None:
    written = ["root@a", "writer@acme/*", 7, None, {"a": 1}, "operator@acme", "writer@acme/*"]

    with capture_logs() as logged:
        found = grants_of({"g": written}, issuer(grants_claim="g"))

    assert found == (WRITER,)
    assert [each["log_level"] for each in logged] == ["debug"] * 2


@pytest.mark.parametrize("claims", [{}, {"g": None}, {"g": 7}, {"g": {"writer@a": 1}}, {"g": []}])
def test_without_such_a_claim_nothing_is_granted(claims: dict[str, Any]) -> None:
    assert grants_of(claims, issuer(grants_claim="g")) == ()


@pytest.mark.parametrize(
    ("condition", "applies", "does_not"),
    [
        ({"equals": "a b"}, ["a b"], ["a", "a b c", "A b", ["a b"], None, 7]),
        ({"contains": "ops"}, [["ops"], ["x", "ops"]], ["ops", "x ops", ["op"], [["ops"]]]),
        (
            {"matches": "system:serviceaccount:agents:*"},
            ["system:serviceaccount:agents:planner"],
            [
                "system:serviceaccount:agents:",
                "system:serviceaccount:other:planner",
                "system:serviceaccount:agents:a:b",
                "x system:serviceaccount:agents:a",
                ["system:serviceaccount:agents:a"],
                None,
            ],
        ),
        ({"matches": "a.c"}, ["a.c"], ["abc", "a.c\n"]),
        ({"matches": "a*c*e"}, ["abcde", "a-c-c/e"], ["ace", "abce", "abcd"]),
    ],
)  # fmt: skip
def test_a_rule_applies_to_what_it_names(
    condition: dict[str, str], applies: list[object], does_not: list[object]
) -> None:
    for value in applies:
        assert grants_of({"c": value}, ruled(**condition)) == (WRITER,), value
    for value in does_not:
        assert grants_of({"c": value}, ruled(**condition)) == (), value


def test_all_rules_that_apply_count() -> None:
    rules = [
        {"claim": "sub", "equals": "a", "grants": ["writer@acme/*"]},
        {"claim": "sub", "equals": "b", "grants": ["admin@*"]},
        {"claim": "groups", "contains": "g", "grants": ["reader@*", "writer@acme/*"]},
    ]

    found = grants_of({"sub": "a", "groups": ["g"]}, issuer(rules=rules))

    assert found == (WRITER, READER)
