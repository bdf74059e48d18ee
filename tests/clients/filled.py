"""Messages and arguments with every field set, each to a value of its own.

They are made from descriptors and from type hints, so a field that is added is among them.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any, Literal, Union
from zlib import crc32

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from runstore.files import Writable
from runstore.values.payloads import Payload, Value

FIRST_NUMBER = 1_000
START = datetime(2026, 1, 2, tzinfo=UTC)
_NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}


class Filling:
    """Fills messages; a leaf is a field without fields of its own, named by its path.

    `leaves` has the value of each leaf by path, as Python sees it. The leaf `other` is given
    another value than it would be given otherwise.
    """

    def __init__(self, other: str = "") -> None:
        self.leaves: dict[str, Any] = {}
        self._other = other

    def fill(self, message: Message, path: str = "") -> Message:
        chosen: set[str] = set()
        for field in message.DESCRIPTOR.fields:
            one_of = field.containing_oneof
            if one_of and len(one_of.fields) > 1:
                if one_of.name in chosen:
                    continue
                chosen.add(one_of.name)
            self._set(message, field, f"{path}.{field.name}" if path else field.name)
        return message

    def _set(self, message: Message, field: FieldDescriptor, path: str) -> None:
        target = getattr(message, field.name)
        if field.message_type and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            if value.message_type:
                self.fill(target["key"], path)
            else:
                target["key"] = self._leaf(value, path)
        elif field.is_repeated and field.message_type:
            self.fill(target.add(), path)
        elif field.is_repeated:
            target.append(self._leaf(field, path))
        elif field.message_type and field.message_type.file.package == "google.protobuf":
            self._time(target, path)
        elif field.message_type:
            self.fill(target, path)
        else:
            setattr(message, field.name, self._leaf(field, path))

    def _time(self, target: Any, path: str) -> None:
        seconds = FIRST_NUMBER + len(self.leaves) + (path == self._other) * 10_000
        target.seconds, target.nanos = seconds, 5_000
        span = timedelta(seconds=seconds, microseconds=5)
        is_span = target.DESCRIPTOR.name == "Duration"
        self.leaves[path] = span if is_span else datetime(1970, 1, 1, tzinfo=UTC) + span

    def _leaf(self, field: FieldDescriptor, path: str) -> Any:
        value = self._value(field, path)
        self.leaves[path] = value
        return value

    def _value(self, field: FieldDescriptor, path: str) -> Any:
        is_other = path == self._other
        number = FIRST_NUMBER + len(self.leaves) + is_other * 10_000
        if field.enum_type:
            values = field.enum_type.values
            return values[min(1 + is_other, len(values) - 1)].number
        if field.cpp_type in _NUMBERS:
            return number
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return not is_other
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            if field.name.endswith("day"):
                return f"2026-01-{1 + is_other:02}"
            text = path + "!" * is_other
            if field.name == "json":
                return f'"{text}"'
            return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
        return number + 0.5


def unset(message: Message) -> Iterator[str]:
    """The fields of it and of its parts that are not set; of a choice, when nothing is chosen."""
    set_here = {field.name: value for field, value in message.ListFields()}
    for field in message.DESCRIPTOR.fields:
        one_of = field.containing_oneof
        if one_of and message.WhichOneof(one_of.name) not in {None, field.name}:
            continue
        value = set_here.get(field.name)
        if value is None:
            yield f"{message.DESCRIPTOR.name}.{field.name}"
        elif field.message_type and field.message_type.file.package != "google.protobuf":
            is_map = field.message_type.GetOptions().map_entry
            parts = value.values() if is_map else value if field.is_repeated else [value]
            for part in parts:
                if isinstance(part, Message):
                    yield from unset(part)


def leaves_of(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The name and the value of each value in a value; a payload is its content."""
    if type(value).__name__ == "Payload":
        yield name, value.content
    elif is_dataclass(value):
        for field in fields(value):
            yield from leaves_of(getattr(value, field.name), field.name)
    elif is_named_tuple(type(value)):
        for field_name, each in value._asdict().items():
            yield from leaves_of(each, field_name)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from leaves_of(each, name or key)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from leaves_of(each, name)
    else:
        yield name, value


def is_named_tuple(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


def arguments(function: Callable[..., object]) -> dict[str, Any]:
    """A value for each parameter of a function, by its type hints."""
    hints = typing.get_type_hints(function)
    return {name: given(hint, name) for name, hint in hints.items() if name != "return"}


def needed(function: Callable[..., object]) -> dict[str, Any]:
    """As little as can be given for each parameter of a function."""
    hints = typing.get_type_hints(function)
    return {name: least(hint, name) for name, hint in hints.items() if name != "return"}


def least(hint: Any, name: str) -> Any:
    """A value of a type, of whose fields only those are set that have to be."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint == Value or (origin in {Union, types.UnionType} and type(None) in parts):
        return None
    if origin in {Mapping, list, Sequence} or (origin is tuple and parts[-1] is Ellipsis):
        return {} if origin is Mapping else []
    if typing.is_typeddict(hint):
        hints = typing.get_type_hints(hint)
        return {key: least(hints[key], key) for key in hint.__required_keys__}
    if is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        required = [
            each.name
            for each in fields(hint)
            if each.default is MISSING and each.default_factory is MISSING
        ]
        return hint(**{each: least(hints[each], each) for each in required})
    return given(hint, name)


def given(hint: Any, name: str) -> Any:
    """A value of a type, all of whose fields are set; a text is its own name."""
    if hint == Value:
        return Payload(f'"{name}"', "text/json")
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in {Union, types.UnionType}:
        return given(next(part for part in parts if part is not type(None)), name)
    if origin is Literal:
        return parts[0]
    if origin is tuple and parts[-1] is not Ellipsis:
        return tuple(given(part, name) for part in parts)
    if origin in {tuple, list, Sequence}:
        return [given(parts[0], name)]
    if origin is Mapping:
        return {"key": name if parts[1] is Any else given(parts[1], name)}
    if typing.is_typeddict(hint):
        return {key: given(each, key) for key, each in typing.get_type_hints(hint).items()}
    if isinstance(hint, type) and hint.__name__ == "Payload":
        return hint(f'"{name}"')
    if is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{each.name: given(hints[each.name], each.name) for each in fields(hint)})
    if is_named_tuple(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{each: given(hints[each], each) for each in hint._fields})
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return list(hint)[-1]
    return _SIMPLE[hint](name)


def _number(name: str) -> int:
    """A number that is nearly always another for another name."""
    return crc32(name.encode()) % 10_000


_SIMPLE: Mapping[Any, Callable[[str], Any]] = {
    bool: lambda _: True,
    bytes: lambda name: name.encode(),
    date: lambda _: START.date(),
    datetime: lambda name: START + timedelta(seconds=_number(name)),
    float: lambda _: 1.5,
    object: lambda name: name,
    int: lambda name: FIRST_NUMBER + _number(name),
    str: lambda name: name,
    timedelta: lambda _: timedelta(seconds=1.5),
    Writable: lambda _: BytesIO(),
}
