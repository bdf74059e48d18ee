"""Grants and principals as JSON columns."""

from __future__ import annotations

import json
from collections.abc import Iterable

from runstore_storage.contract.access import Grant, Principal, PrincipalKind, Role


def grants_json(grants: Iterable[Grant]) -> str:
    return json.dumps([[grant.role.name, grant.pattern] for grant in grants])


def grants_of(column: str) -> tuple[Grant, ...]:
    return tuple(Grant(Role[role], pattern) for role, pattern in json.loads(column))


def principal_json(principal: Principal) -> str:
    return json.dumps([principal.kind.name, principal.id, principal.issuer])


def principal_of(column: str) -> Principal:
    kind, id_, issuer = json.loads(column)
    return Principal(PrincipalKind[kind], id_, issuer)
