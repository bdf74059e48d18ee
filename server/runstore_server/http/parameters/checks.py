"""Checking parameters by the rules of the RPCs, and what parameters of several nouns share."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from runstore_server.edge.errors import InvalidRequest, Violation
from runstore_server.http.parameters.queries import Many
from runstore_server.validation.requests import refuse, validate


def checked(request: Message, names: Mapping[str, str]) -> None:
    """Raise `InvalidRequest` for every violation; `names` maps a field to its parameter."""
    try:
        validate(request)
    except InvalidRequest as error:
        raise InvalidRequest([_renamed(each, names) for each in error.violations]) from None


def labels_of(given: Many) -> dict[str, str]:
    """Labels given as `key=value`."""
    labels: dict[str, str] = {}
    for index, each in enumerate(given):
        name, equals, value = each.partition("=")
        if not equals:
            refuse(f"label[{index}]", "must be key=value")
        if labels.setdefault(name, value) != value:
            refuse(f"label[{index}]", "gives the label a second value, and no run has both")
    return labels


def first_of(name: str, value: int | None, alias: str, same: int | None) -> int:
    """Where reading begins, given as the one parameter or the other, which must agree."""
    if value is not None and same is not None and value != same:
        refuse(alias, f"contradicts {name}")
    return max(value or same or 1, 1)


def _renamed(violation: Violation, names: Mapping[str, str]) -> Violation:
    field, bracket, index = violation.field.partition("[")
    return Violation(names.get(field, field) + bracket + index, violation.description)
