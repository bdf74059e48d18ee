"""Every rule is kept at every door: whatever request a value comes in, it is refused there.

The bounds are those of the rules, and the doors are found in the contracts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from runstore.v1 import artifact_service_pb2, config_service_pb2, feed_service_pb2, run_service_pb2
from runstore_server.edge.errors import InvalidRequest, Violation
from runstore_server.validation.bounds import (
    MAX_INT32,
    MAX_INT64,
    Bound,
    Entries,
    Integer,
    Items,
    Seconds,
    Text,
)
from runstore_server.validation.requests import RULES, validate
from runstore_server.validation.rules import MessageRules
from runstore_server.validation.times import MAX_TIMESTAMP, MIN_TIMESTAMP, NANOS
from runstore_storage.contract.events import OWN_EVENT_TYPES

SERVICES = (artifact_service_pb2, config_service_pb2, feed_service_pb2, run_service_pb2)
REQUESTS = {
    method.input_type.name: method.input_type
    for module in SERVICES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def places(wanted: str) -> Iterator[Any]:
    """Where a message of that type stands in requests, which are otherwise empty."""
    for name, descriptor in REQUESTS.items():
        for steps in _ways(descriptor, wanted):
            yield pytest.param(descriptor, steps, id=f"{name}.{_path(steps)}")


def _ways(descriptor: Descriptor, wanted: str) -> Iterator[tuple[FieldDescriptor, ...]]:
    if descriptor.name == wanted:
        yield ()
        return
    for field in descriptor.fields:
        below = field.message_type
        if below and below.GetOptions().map_entry:
            below = below.fields_by_name["value"].message_type
        if below:
            yield from ((field, *rest) for rest in _ways(below, wanted))


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _path(steps: tuple[FieldDescriptor, ...]) -> str:
    ends = {True: '["key"]', False: "[0]"}
    return ".".join(step.name + (ends[_is_map(step)] if step.is_repeated else "") for step in steps)


def made(descriptor: Descriptor, steps: tuple[FieldDescriptor, ...]) -> tuple[Message, Any, str]:
    """A request, the message at the end of the steps, and its path with a dot."""
    request: Any = GetMessageClass(descriptor)()
    message = request
    for step in steps:
        inside = getattr(message, step.name)
        if _is_map(step):
            inside = inside["key"]
        elif step.is_repeated:
            inside = inside.add()
        else:
            inside.SetInParent()
        message = inside
    return request, message, f"{_path(steps)}." if steps else ""


def violations(request: Message) -> tuple[Violation, ...]:
    return (*_of(request), *_apart(request))


def _of(request: Message) -> tuple[Violation, ...]:
    try:
        validate(request)
    except InvalidRequest as refused:
        return refused.violations
    return ()


def _apart(request: Message) -> Iterator[Violation]:
    """Those in messages that are refused by themselves, by their paths in the request."""
    for name in RULES.get(request.DESCRIPTOR.name, MessageRules()).apart:
        for index, part in enumerate(getattr(request, name)):
            for each in _of(part):
                yield Violation(f"{name}[{index}].{each.field}", each.description)


def found(request: Message) -> dict[str, str]:
    """The violations of a request by their fields."""
    return {each.field: each.description for each in violations(request)}


def said(request: Message, field: str) -> list[str]:
    """Everything that is said of a field."""
    return [each.description for each in violations(request) if each.field == field]


@pytest.mark.parametrize(("descriptor", "steps"), [*places("Event")])
@pytest.mark.parametrize("own", sorted(OWN_EVENT_TYPES))
def test_types_of_the_servers_own_are_refused_at_every_door(
    descriptor: Descriptor, steps: tuple[FieldDescriptor, ...], own: str
) -> None:
    request, event, path = made(descriptor, steps)
    event.type = own

    assert found(request)[f"{path}type"] == f"{own} can only be written by the server"

    event.type = f"{own}x"
    assert f"{path}type" not in found(request)


@pytest.mark.parametrize(("descriptor", "steps"), [*places("Payload")])
def test_what_is_not_json_is_refused_at_every_door(
    descriptor: Descriptor, steps: tuple[FieldDescriptor, ...]
) -> None:
    request, payload, path = made(descriptor, steps)

    payload.json = "{"
    assert found(request)[f"{path}json"].startswith("is not JSON")
    payload.json = "{}"
    assert f"{path}json" not in found(request)
    payload.binary = b"{"
    assert f"{path}json" not in found(request)
    payload.ClearField("binary")
    assert path.removesuffix(".") in found(request)


@pytest.mark.parametrize(("descriptor", "steps"), [*places("Payload")])
def test_refs_stand_only_in_the_parts_of_snapshots(
    descriptor: Descriptor, steps: tuple[FieldDescriptor, ...]
) -> None:
    is_part = any(step.name in {"state", "nodes"} for step in steps)
    request, payload, path = made(descriptor, steps)
    payload.ref = bytes(32)
    refused = {field for field in found(request) if field.startswith(path.removesuffix("."))}

    payload.ref = bytes(31)

    assert bool(refused) != is_part
    assert any(field.startswith(path.removesuffix(".")) for field in found(request))


@pytest.mark.parametrize(("descriptor", "steps"), [*places("Timestamp")])
def test_what_is_no_time_is_refused_at_every_door(
    descriptor: Descriptor, steps: tuple[FieldDescriptor, ...]
) -> None:
    request, at, path = made(descriptor, steps)

    def is_refused(seconds: int, nanos: int) -> bool:
        at.seconds, at.nanos = seconds, nanos
        return path.removesuffix(".") in found(request)

    assert not is_refused(MIN_TIMESTAMP, 0)
    assert not is_refused(MAX_TIMESTAMP, NANOS - 1)
    assert is_refused(MIN_TIMESTAMP - 1, NANOS - 1)
    assert is_refused(MAX_TIMESTAMP + 1, 0)
    assert is_refused(0, NANOS)
    assert is_refused(0, -1)


@pytest.mark.parametrize(
    ("descriptor", "steps"),
    [each for each in places("Event") if each.values[1][-1].is_repeated],
)
def test_an_event_id_that_repeats_is_refused_in_every_list(
    descriptor: Descriptor, steps: tuple[FieldDescriptor, ...]
) -> None:
    request, event, path = made(descriptor, steps)
    second = path.replace("[0].", "[1]")
    around: Any = request
    for step in steps[:-1]:
        around = getattr(around, step.name)
    again = getattr(around, steps[-1].name).add()

    event.event_id = again.event_id = "same"
    assert found(request)[second] == "repeats an event_id of the request"
    again.event_id = "other"
    assert second not in found(request)
    event.event_id = again.event_id = ""
    assert second not in found(request)


# Some fields have other rules beside.
OF_A_BOUND = re.compile(r"must (have|be) [-0-9]|must be a known|.* NUL |is not a valid duration")
BOUNDS = [
    pytest.param(descriptor, steps, name, bound, id=f"{request}.{_path(steps)}.{name}")
    for type_name, rules in RULES.items()
    for request, descriptor in REQUESTS.items()
    for steps in _ways(descriptor, type_name)
    for name, bound in rules.bounds.items()
]


@pytest.mark.parametrize(("descriptor", "steps", "name", "bound"), BOUNDS)
def test_a_field_is_taken_at_its_bounds_and_refused_beyond_them_at_every_door(
    descriptor: Descriptor, steps: tuple[FieldDescriptor, ...], name: str, bound: Bound
) -> None:
    _, message, _ = made(descriptor, steps)
    for value, end, is_taken in edges(bound, message.DESCRIPTOR.fields_by_name[name]):
        request, message, path = made(descriptor, steps)
        _set(message, name, value)

        assert is_taken != any(map(OF_A_BOUND.match, said(request, path + name + end))), value


def _set(message: Any, name: str, value: Any) -> None:
    field = message.DESCRIPTOR.fields_by_name[name]
    if isinstance(value, dict):
        for key, each in value.items():
            if field.message_type.fields_by_name["value"].message_type:
                getattr(message, name)[key].json = "1"
            else:
                getattr(message, name)[key] = each
    elif isinstance(value, list) and field.message_type:
        for _ in value:
            getattr(message, name).add()
    elif isinstance(value, list):
        getattr(message, name).extend(value)
    elif isinstance(value, tuple):
        inside = getattr(message, name)
        inside.SetInParent()
        inside.seconds, inside.nanos = value
    else:
        setattr(message, name, value)


def edges(bound: Bound, field: FieldDescriptor) -> Iterator[tuple[Any, str, bool]]:
    """Values, which end the path of their violation has, and whether they are taken."""
    match bound:
        case Text():
            yield from ((value, "", is_taken) for value, is_taken in _texts(bound))
        case Items():
            yield from _lists(bound, field)
        case Entries():
            yield from _maps(bound)
        case Integer(low=low, high=high):
            most = MAX_INT64 if field.cpp_type == FieldDescriptor.CPPTYPE_INT64 else MAX_INT32
            yield from ((low, "", True), (high, "", True), (low - 1, "", False))
            if high < most:
                yield high + 1, "", False
        case Seconds(low=low, high=high):
            least = round(low * NANOS)
            yield divmod(least, NANOS), "", True
            yield (int(high), 0), "", True
            yield (int(high), 1), "", False
            yield (divmod(least - 1, NANOS) if least else (0, -1)), "", False
            yield from ((each, "", False) for each in ((1, -1), (-1, 1), (0, NANOS)))


def _lists(bound: Items, field: FieldDescriptor) -> Iterator[tuple[Any, str, bool]]:
    one = 1 if field.enum_type else "a"
    yield [one] * bound.high, "", True
    yield [one] * (bound.high + 1), "", False
    if bound.low:
        yield [one] * bound.low, "", True
        yield [], "", False
    if field.enum_type:
        yield from (([1, unknown], "[1]", False) for unknown in (0, 99))
    if bound.each:
        for value, is_taken in _texts(bound.each):
            yield ["a", value], "[1]", is_taken


def _maps(bound: Entries) -> Iterator[tuple[Any, str, bool]]:
    yield {f"k{number}": "v" for number in range(bound.high)}, "", True
    yield {f"k{number}": "v" for number in range(bound.high + 1)}, "", False
    for key, is_taken in _texts(bound.keys):
        if "\0" not in key:
            yield {key: "v"}, f'["{key[: bound.keys.high]}"]', is_taken
    for value, is_taken in _texts(bound.values) if bound.values else ():
        yield {"key": value}, '["key"]', is_taken


def _texts(bound: Text) -> Iterator[tuple[str, bool]]:
    wide = "漢"
    yield "a" * bound.high, True
    yield "a" * (bound.high + 1), False
    yield "a\0", False
    if bound.low:
        yield "a" * bound.low, True
        yield "a" * (bound.low - 1), False
    if bound.most_bytes:
        yield wide * (bound.most_bytes // 3) + "a" * (bound.most_bytes % 3), True
        yield wide * (bound.most_bytes // 3) + "a" * (bound.most_bytes % 3 + 1), False
    else:
        yield wide * bound.high, True
    if bound.is_name:
        yield "a b", False
        yield "-a", False
        yield "Ä1._-/:@+~", True


REQUIRED = [
    pytest.param(descriptor, steps, name, id=f"{request}.{_path(steps)}.{name}")
    for type_name, rules in RULES.items()
    for request, descriptor in REQUESTS.items()
    for steps in _ways(descriptor, type_name)
    for name in rules.required
]


@pytest.mark.parametrize(("descriptor", "steps", "name"), REQUIRED)
def test_what_is_required_is_missed(
    descriptor: Descriptor, steps: tuple[FieldDescriptor, ...], name: str
) -> None:
    request, message, path = made(descriptor, steps)

    assert found(request)[path + name] == "must be set"
    getattr(message, name).SetInParent()
    assert path + name not in found(request) or found(request)[path + name] != "must be set"


ENUMS = [
    pytest.param(descriptor, steps, field.name, id=f"{request}.{_path(steps)}.{field.name}")
    for request, descriptor in REQUESTS.items()
    for type_name in sorted({each.name for each in REQUESTS.values()} | set(RULES))
    for steps in _ways(descriptor, type_name)
    for field in made(descriptor, steps)[1].DESCRIPTOR.fields
    if field.enum_type and not field.is_repeated
]


@pytest.mark.parametrize(("descriptor", "steps", "name"), ENUMS)
def test_a_value_that_the_contract_does_not_know_is_refused(
    descriptor: Descriptor, steps: tuple[FieldDescriptor, ...], name: str
) -> None:
    request, message, path = made(descriptor, steps)

    setattr(message, name, 99)
    assert found(request)[path + name] == "must be a known value, is 99"
    setattr(message, name, 1)
    assert path + name not in found(request)
