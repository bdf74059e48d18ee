"""What a token grants, by its claims."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from runstore_storage.contract.access import Grant

from runstore_server.identity.grants import grants_in
from runstore_server.identity.issuers import IssuerSettings, Rule

# Names that colons part keep their parts: a pattern for one namespace is not one for another.
ANYTHING = "[^:]+"


def grants_of(claims: Mapping[str, Any], issuer: IssuerSettings) -> tuple[Grant, ...]:
    """The grants, each once; none if the claims are not there or are not what they should be."""
    if issuer.grants_claim:
        written = claims.get(issuer.grants_claim)
        return _each_once(
            grants_in(written.split() if isinstance(written, str) else _list(written))
        )
    applying = (rule for rule in issuer.rules if _applies(rule, claims.get(rule.claim)))
    return _each_once(grant for rule in applying for grant in rule.grants)


def _applies(rule: Rule, value: object) -> bool:
    if rule.contains is not None:
        return rule.contains in _list(value)
    if not isinstance(value, str):
        return False
    if rule.equals is not None:
        return value == rule.equals
    pattern = ANYTHING.join(map(re.escape, (rule.matches or "").split("*")))
    return re.fullmatch(pattern, value) is not None


def _list(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _each_once(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    return tuple(dict.fromkeys(grants))
