"""Requests are checked before the store sees them; all violations are found at once.

A message type is compiled once into a list of checks, one for each field that can break a rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from runstore.v1 import events_pb2
from runstore.v1.run_service_pb2 import AppendEventRequest
from runstore_storage.contract.events import Event

from runstore_server.convert.events import events_of
from runstore_server.edge.errors import InvalidRequest, Violation
from runstore_server.edge.requests import beside
from runstore_server.validation import (
    admin,
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
from runstore_server.validation.plain_events import plain_events
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
    | admin.RULES
    | feed.RULES
    | search.RULES
    | statistics.RULES
)
LARGE_REQUEST = 256 << 10
NO_RULES = MessageRules()


async def admit(request: Message) -> None:
    """As `validate`, in a thread if the request is large, so that other calls go on."""
    await beside(is_large(request), validate, request)


async def admit_events(request: Message, messages: Sequence[events_pb2.Event]) -> Sequence[Event]:
    """As `admit`; return what the request appends, which are these messages in it."""
    return await beside(is_large(request), _events, request, messages)


async def admit_each(
    request: Message, appends: Sequence[AppendEventRequest]
) -> Sequence[Sequence[Event] | InvalidRequest]:
    """As `admit`; return what each of the appends appends, or which rules of its own it breaks."""
    return await beside(is_large(request), _events_of_each, request, appends)


def _events(request: Message, messages: Sequence[events_pb2.Event]) -> Sequence[Event]:
    plain = plain_events(messages)
    if plain is None:
        validate(request)
        return events_of(messages)
    _check(request, _walk_around_events)
    return plain


def _events_of_each(
    request: Message, appends: Sequence[AppendEventRequest]
) -> Sequence[Sequence[Event] | InvalidRequest]:
    validate(request)
    return list(map(_events_or_refusal, appends))


def _events_or_refusal(append: AppendEventRequest) -> Sequence[Event] | InvalidRequest:
    try:
        return _events(append, (append.event,))
    except InvalidRequest as error:
        return error


def is_large(request: Message) -> bool:
    """Whether work on a request would hold up other calls."""
    return request.ByteSize() > LARGE_REQUEST


def validate(request: Message) -> None:
    """Return when the request keeps every rule; raise `InvalidRequest` with what breaks one."""
    _check(request, _walk)


def refuse(field: str, description: str) -> NoReturn:
    """Refuse a request for a field that no rule of its message shows to be wrong."""
    raise InvalidRequest([Violation(field, description)])


def _check(request: Message, walk: Check) -> None:
    found: Found = []
    with suppress(EnoughFound):
        walk(request, "", found)
    if found:
        raise InvalidRequest(found)


def _walk(message: Any, path: str, found: Found) -> None:
    for check in _plan(message.DESCRIPTOR, _walk):
        check(message, path, found)


def _walk_around_events(message: Any, path: str, found: Found) -> None:
    """Check all but the events in the message."""
    if message.DESCRIPTOR is not events_pb2.Event.DESCRIPTOR:
        for check in _plan(message.DESCRIPTOR, _walk_around_events):
            check(message, path, found)


def _pass(_message: Any, _path: str, _found: Found) -> None:
    """The check of a message that is checked elsewhere."""


@cache
def _plan(descriptor: Descriptor, walk: Check) -> tuple[Check, ...]:
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
                walk=_pass if field.name in rules.apart else walk,
            )
        )
    ]
    return (*checks, *rules.checks)
