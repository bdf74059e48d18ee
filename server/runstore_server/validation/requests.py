"""Requests are checked before the store sees them; all violations are found at once.

A message type is compiled once into a list of checks, one for each field that can break a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from runstore_server.edge.errors import InvalidRequest, Violation
from runstore_server.edge.requests import beside
from runstore_server.validation import (
    artifacts,
    configs,
    events,
    feed,
    outputs,
    payloads,
    runs,
    search,
    snapshots,
    statistics,
    times,
)
from runstore_server.validation.fields import field_check
from runstore_server.validation.rules import Check, EnoughFound, Found, MessageRules, Rules

RULES: Rules = (
    times.RULES
    | payloads.RULES
    | events.RULES
    | snapshots.RULES
    | outputs.RULES
    | runs.RULES
    | configs.RULES
    | artifacts.RULES
    | feed.RULES
    | search.RULES
    | statistics.RULES
)
LARGE_REQUEST = 256 << 10
NO_RULES = MessageRules()


async def admit(request: Message) -> None:
    """As `validate`, in a thread if the request is large, so that other calls go on."""
    await beside(is_large(request), validate, request)


async def admit_each(request: Message, parts: Iterable[Message]) -> Sequence[InvalidRequest | None]:
    """As `admit`, and what breaks a rule in each of the parts that are refused by themselves."""
    return await beside(is_large(request), _validated_each, request, parts)


def _validated_each(request: Message, parts: Iterable[Message]) -> Sequence[InvalidRequest | None]:
    validate(request)
    return broken_rules(parts)


def is_large(request: Message) -> bool:
    """Whether work on a request would hold up other calls."""
    return request.ByteSize() > LARGE_REQUEST


def validate(request: Message) -> None:
    """Return when the request keeps every rule; raise `InvalidRequest` with what breaks one."""
    found: Found = []
    with suppress(EnoughFound):
        _walk(request, "", found)
    if found:
        raise InvalidRequest(found)


def broken_rules(requests: Iterable[Message]) -> list[InvalidRequest | None]:
    """For each request what `validate` raises; None for one that keeps every rule."""
    return list(map(_broken_rule, requests))


def _broken_rule(request: Message) -> InvalidRequest | None:
    try:
        validate(request)
    except InvalidRequest as error:
        return error
    return None


def refuse(field: str, description: str) -> NoReturn:
    """Refuse a request for a field that no rule of its message shows to be wrong."""
    raise InvalidRequest([Violation(field, description)])


def _walk(message: Any, path: str, found: Found) -> None:
    for check in _plan(message.DESCRIPTOR):
        check(message, path, found)


def _pass(_message: Any, _path: str, _found: Found) -> None:
    """The check of a message that is checked elsewhere."""


@cache
def _plan(descriptor: Descriptor) -> tuple[Check, ...]:
    """The checks of a message type: those of its fields, then those of the message."""
    rules = RULES.get(descriptor.name, NO_RULES)
    checks = [
        check
        for field in descriptor.fields
        if (
            check := field_check(
                field,
                rules.bounds.get(field.name),
                is_required=field.name in rules.required,
                walk=_pass if field.name in rules.apart else _walk,
            )
        )
    ]
    return (*checks, *rules.checks)
