"""The check of one field, made from its type and its bound."""

from __future__ import annotations

import json
from operator import attrgetter
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from runstore_server.validation.bounds import (
    NAME_PATTERN,
    Bound,
    Entries,
    Integer,
    Items,
    Seconds,
    Text,
)
from runstore_server.validation.rules import Check, Found, report
from runstore_server.validation.times import NANOS

# Bytes of one character.
MAX_UTF8 = 4


def field_check(
    field: FieldDescriptor, bound: Bound | None, *, is_required: bool, walk: Check
) -> Check | None:
    """The check of a field, None where no value breaks a rule; `walk` checks messages in it."""
    name = field.name
    if isinstance(bound, Entries):
        return _entries(name, bound, walk)
    if field.is_repeated:
        return _items(field, bound if isinstance(bound, Items) else None, walk)
    if field.message_type is not None:
        return _message(name, bound if isinstance(bound, Seconds) else None, is_required, walk)
    if field.enum_type is not None:
        return _enum(name, frozenset(field.enum_type.values_by_number))
    if isinstance(bound, Text):
        return _text(name, bound, field.has_presence)
    if isinstance(bound, Integer):
        return _integer(name, bound)
    return None


def _text(name: str, bound: Text, has_presence: bool) -> Check:
    value_of, low, surely = attrgetter(name), bound.low, bound.high
    if bound.most_bytes is not None:
        surely = min(surely, bound.most_bytes // MAX_UTF8)

    def check(message: Any, path: str, found: Found) -> None:
        value = value_of(message)
        if low <= len(value) <= surely and "\0" not in value and not bound.is_name:
            return
        if not has_presence or message.HasField(name):
            _check_text(value, bound, path + name, found)

    return check


def _check_text(value: str, bound: Text, path: str, found: Found) -> None:
    if not bound.low <= len(value) <= bound.high:
        report(found, path, f"must have {bound}, has {len(value)}")
    elif bound.most_bytes is not None and (size := len(value.encode())) > bound.most_bytes:
        report(found, path, f"must have {bound}, has {size} bytes")
    elif "\0" in value:
        report(found, path, "must not contain the NUL character")
    elif bound.is_name and value and not NAME_PATTERN.fullmatch(value):
        kept = NAME_PATTERN.match(value)
        other = value[kept.end() if kept else 0]
        report(found, path, f"must have {bound}; has {json.dumps(other)}")


def _integer(name: str, bound: Integer) -> Check:
    value_of, low, high = attrgetter(name), bound.low, bound.high

    def check(message: Any, path: str, found: Found) -> None:
        value = value_of(message)
        # An absent field reads as 0, so a bound above 0 also makes the field required.
        if not low <= value <= high:
            report(found, path + name, f"must be {bound}, is {value}")

    return check


def _enum(name: str, numbers: frozenset[int]) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        if getattr(message, name) not in numbers:
            report(found, path + name, f"must be a known value, is {getattr(message, name)}")

    return check


def _message(name: str, bound: Seconds | None, is_required: bool, walk: Check) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        if not message.HasField(name):
            if is_required:
                report(found, path + name, "must be set")
        elif bound:
            _check_seconds(getattr(message, name), bound, path + name, found)
        else:
            walk(getattr(message, name), f"{path}{name}.", found)

    return check


def _items(field: FieldDescriptor, bound: Items | None, walk: Check) -> Check | None:
    name, each = field.name, bound.each if bound else None
    numbers = frozenset(field.enum_type.values_by_number) - {0} if field.enum_type else None
    is_needed = bound is not None and bound.low > 0

    def check(message: Any, path: str, found: Found) -> None:
        items = getattr(message, name)
        if not items and not is_needed:
            return
        if bound and not bound.low <= len(items) <= bound.high:
            report(
                found, path + name, f"must have {bound.low}..{bound.high} items, has {len(items)}"
            )
            return
        for index, item in enumerate(items):
            at = f"{path}{name}[{index}]"
            if each:
                _check_text(item, each, at, found)
            elif numbers is not None:
                if item not in numbers:
                    report(found, at, f"must be a known value, is {item}")
            else:
                walk(item, at + ".", found)

    return check


def _entries(name: str, bound: Entries, walk: Check) -> Check:
    def check(message: Any, path: str, found: Found) -> None:
        entries = getattr(message, name)
        if len(entries) > bound.high:
            report(found, path + name, f"must have 0..{bound.high} items, has {len(entries)}")
            return
        for key in entries:
            at = f"{path}{name}[{json.dumps(key[: bound.keys.high], ensure_ascii=False)}]"
            _check_text(key, bound.keys, at, found)
            if bound.values:
                _check_text(entries[key], bound.values, at, found)
            else:
                walk(entries[key], at + ".", found)

    return check


def _check_seconds(value: Any, bound: Seconds, path: str, found: Found) -> None:
    if not -NANOS < value.nanos < NANOS or (value.seconds * value.nanos) < 0:
        report(found, path, "is not a valid duration")
    elif not bound.low * NANOS <= value.seconds * NANOS + value.nanos <= bound.high * NANOS:
        report(found, path, f"must be {bound}")
