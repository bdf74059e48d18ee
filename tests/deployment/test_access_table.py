"""The table of roles in docs/security.md is made from what the server decides by."""

from __future__ import annotations

from collections.abc import Iterator

from deployment.dockerfile import ROOT
from runstore_server.edge.access import ACCESS, Rule
from runstore_storage.contract.access import INCLUDED, Role

PAGE = ROOT / "docs" / "security.md"


def test_the_page_has_every_rpc_with_its_roles() -> None:
    table = "\n".join(rows())

    assert table in PAGE.read_text(), f"the table should be:\n{table}"


def rows() -> Iterator[str]:
    yield f"| RPCs | {' | '.join(role.name.lower() for role in Role)} |"
    yield f"| --- |{' --- |' * len(Role)}"
    by_rule: dict[Rule, list[str]] = {}
    for method, rule in ACCESS.items():
        by_rule.setdefault(Rule(rule.roles), []).append(method.rpartition("/")[2])
    for rule, names in by_rule.items():
        yield f"| {', '.join(names)} | {' | '.join(mark(rule, role) for role in Role)} |"


def mark(rule: Rule, role: Role) -> str:
    asked = set(rule.roles)
    return "yes" if not asked or asked & INCLUDED[role] else ""
