"""Arguments that a call cannot take, and the checks that find them."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class InvalidArgument(TypeError, ValueError):
    """An argument that was refused before anything was sent; `field` is the path of the value."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


def instance(value: object, kind: type[T], field: str) -> T:
    """The value; raise `InvalidArgument` if it is not of this type."""
    if isinstance(value, kind):
        return value
    raise not_of(kind.__name__, value, field)


def member(value: int, kind: type[IntEnum], field: str) -> int:
    """The number of an enum's member; raise `InvalidArgument` for what is no number."""
    if not isinstance(value, int):
        raise not_of(kind.__name__, value, field)
    return int(value)


def text(value: object, field: str) -> str:
    """The value; raise `InvalidArgument` unless it is a str that can be encoded as UTF-8."""
    if not isinstance(value, str):
        raise not_of("str", value, field)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgument(field, f"is not Unicode text: {error.reason}") from None
    return value


def integer(value: object, field: str, *, bits: int = 63) -> int:
    """The value as an int; raise `InvalidArgument` unless it is one of `bits` bits and a sign."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # that is what is checked
    except TypeError:
        raise not_of("int", value, field) from None
    if not -(2**bits) <= number < 2**bits:
        raise InvalidArgument(field, f"must be {-(2**bits)}..{2**bits - 1}, is {number}")
    return number


def items(value: Iterable[T], kind: type[T], field: str) -> list[T]:
    """The items as a list; raise `InvalidArgument` unless all are of this type.

    Strings, bytes and mappings count as single values, although Python can iterate over them.
    """
    taken = sequence(value, kind.__name__, field)
    for index, item in enumerate(taken):
        instance(item, kind, f"{field}[{index}]")
    return taken


def sequence(value: Any, of: str, field: str) -> list[Any]:
    """The items as a list, whatever they are; `of` names what they ought to be."""
    if isinstance(value, str | bytes | bytearray | memoryview | Mapping):
        raise not_of(f"a sequence of {of}", value, field)
    try:
        return list(value)
    except TypeError:
        raise not_of(f"a sequence of {of}", value, field) from None


def pair(value: tuple[T, U], field: str) -> tuple[T, U]:
    """The value; raise `InvalidArgument` unless it is a tuple of two."""
    if len(instance(value, tuple, field)) != 2:  # noqa: PLR2004 - a pair
        raise InvalidArgument(field, f"must have 2 items, has {len(value)}")
    return value


def mapping(value: object, field: str) -> Mapping[str, Any]:
    """The value; raise `InvalidArgument` unless it is a mapping whose keys are strings."""
    if not isinstance(value, Mapping):
        raise not_of("a mapping", value, field)
    for key in value:
        text(key, f"{field}: key {key!r}")
    return value


def seconds(value: float, field: str) -> float:
    """The value; raise `InvalidArgument` unless it is a number of seconds, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise not_of("a number of seconds", value, field)
    if not value >= 0:
        raise InvalidArgument(field, f"must be 0 seconds or more, is {value}")
    return value


def only_known(fields: Mapping[str, Any], kind: type) -> None:
    """Raise `InvalidArgument` for a field that the TypedDict `kind` does not have."""
    allowed = kind.__annotations__
    for name in fields:
        if name not in allowed:
            raise InvalidArgument(name, f"is unknown here; there are {', '.join(sorted(allowed))}")


def not_of(expected: str, value: object, field: str) -> InvalidArgument:
    """The error of a value that is not what was expected."""
    return InvalidArgument(field, f"must be {expected}, not {type(value).__qualname__}")
