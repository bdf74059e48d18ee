"""Messages made of arguments, which are checked against the fields they are put in.

The stubs would take a string for a list of its characters and UTF-8 bytes for a string, and raise
errors that do not name the field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, ParamSpec, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from runstore.arguments import instance, integer, mapping, not_of, sequence, text

P = ParamSpec("P")
M = TypeVar("M", bound=Message)
Check = Callable[[Any, str], Any]
"""Takes an argument and its path; returns what goes into the field."""

_BITS = {FieldDescriptor.CPPTYPE_INT32: 31, FieldDescriptor.CPPTYPE_INT64: 63}


def message_of(kind: Callable[P, M], /, *args: P.args, **fields: P.kwargs) -> M:
    """A message with the given fields; raise `InvalidArgument` for what a field cannot hold."""
    return message_at("", kind, *args, **fields)


def message_at(at: str, kind: Callable[P, M], /, *args: P.args, **fields: P.kwargs) -> M:
    """As `message_of`; `at` is the path of the message, with a dot at its end."""
    checks: Mapping[str, Check] = _checks(kind)
    checked: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None or value is _NO_ITEMS:
            continue
        check = checks[name]
        if check is not text or type(value) is not str or not value.isascii():
            checked[name] = check(value, at + name)
        elif value or _has_presence(kind, name):
            checked[name] = value
    return kind(*args, **checked)


_NO_ITEMS: tuple[object, ...] = ()


@cache
def _has_presence(kind: Any, name: str) -> bool:
    """Whether an empty text in the field is another than none."""
    return bool(kind.DESCRIPTOR.fields_by_name[name].has_presence)


@cache
def _checks(kind: Any) -> dict[str, Check]:
    return {field.name: _check(field) for field in kind.DESCRIPTOR.fields}


def _check(field: FieldDescriptor) -> Check:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _entries(_check(field.message_type.fields_by_name["value"]))
    if _is_repeated(field):
        return _items(_check_one(field), _name(field))
    return _check_one(field)


def _check_one(field: FieldDescriptor) -> Check:
    if field.enum_type is not None:
        return _enum(field.enum_type.name)
    if field.cpp_type in _BITS:
        return partial(integer, bits=_BITS[field.cpp_type])
    return _PLAIN.get(field.type, _as_it_is)


def _is_repeated(field: FieldDescriptor) -> bool:
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    repeated: bool = field.label == FieldDescriptor.LABEL_REPEATED  # type: ignore[attr-defined] # before 6.31
    return repeated


def _name(field: FieldDescriptor) -> str:
    """What a caller gives for an item of the field."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return "str"
    kind = field.enum_type or field.message_type
    return kind.name if kind else "values"


def _items(check: Check, of: str) -> Check:
    def checked(value: Any, path: str) -> list[Any]:
        taken = sequence(value, of, path)
        return [check(item, f"{path}[{index}]") for index, item in enumerate(taken)]

    return checked


def _entries(check: Check) -> Check:
    def checked(value: Any, path: str) -> dict[str, Any]:
        given = mapping(value, path)
        return {key: check(member, f"{path}[{key!r}]") for key, member in given.items()}

    return checked


def _enum(name: str) -> Check:
    def checked(value: Any, path: str) -> int:
        if not isinstance(value, int):
            raise not_of(name, value, path)
        return int(value)

    return checked


def _flag(value: Any, path: str) -> bool:
    return instance(value, bool, path)


def _bytes(value: Any, path: str) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise not_of("bytes", value, path)
    return bytes(value)


def _as_it_is(value: Any, path: str) -> Any:  # noqa: ARG001 - as the other checks
    return value


_PLAIN: dict[int, Check] = {
    FieldDescriptor.TYPE_STRING: text,
    FieldDescriptor.TYPE_BOOL: _flag,
    FieldDescriptor.TYPE_BYTES: _bytes,
}
