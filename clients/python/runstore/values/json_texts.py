"""JSON texts of values: what JSON can represent, and encoders for what it cannot."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import singledispatch
from typing import Any, TypeVar

from runstore.arguments import InvalidArgument

T = TypeVar("T")
Path = tuple["Path | None", str | int]
"""Where a value is: the path of what holds it, and its key, its index or an argument's name."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_PLAIN = (str, int)
_ARRAYS = (list, tuple)
_CONSTANTS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def register_encoder(kind: type[T], encode: Callable[[T], Any]) -> None:
    """In payloads of this process, replace values of a type, or of its subclasses, by JSON values.

        register_encoder(datetime, datetime.isoformat)
        register_encoder(UUID, str)
        register_encoder(pydantic.BaseModel, lambda model: model.model_dump(mode="json"))
        register_encoder(numpy.generic, lambda number: number.item())
        register_encoder(numpy.ndarray, lambda array: array.tolist())
        register_encoder(Invoice, dataclasses.asdict)

    The nearest class counts. What an encoder returns may hold further values that need one.
    """
    _encode.register(kind, encode)


def json_text(value: Any, name: str) -> str:
    """The JSON text of an argument; raise `InvalidArgument` with the path of what is not JSON."""
    try:
        plain = _plain(value, (None, name))
        text = _ENCODER.encode(plain)
        if text.isascii() or _is_unicode(text):
            return text
        return json.dumps(plain, allow_nan=False, separators=(",", ":"))
    except RecursionError:
        raise InvalidArgument(name, "is nested too deeply, or contains itself") from None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate has to be escaped
        return False
    return True


def _plain(value: Any, path: Path) -> Any:
    """The value made of what `json.dumps` represents without changing its meaning."""
    # Loops, as comprehensions would halve the depth that Python's stack has room for.
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        raise InvalidArgument(_shown(path), f"{_CONSTANTS[repr(float(value))]} is not JSON")
    if isinstance(value, dict):
        members = {}
        for key, member in value.items():
            if not isinstance(key, str):
                raise InvalidArgument(_shown(path), f"the key {key!r} is not a string")
            members[key] = _plain(member, (path, key))
        return members
    if isinstance(value, _ARRAYS):
        items = []
        for index, item in enumerate(value):
            items.append(_plain(item, (path, index)))
        return items
    return _plain(_encoded(value, path), path)


def _encoded(value: Any, path: Path) -> Any:
    try:
        return _encode(value)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(_shown(path), str(error)) from error


@singledispatch
def _encode(value: Any) -> Any:
    raise TypeError(
        f"a value of type {type(value).__qualname__} is not JSON: convert it, or register an"
        " encoder with runstore.register_encoder"
    )


def _shown(path: Path) -> str:
    """The path as one would write it in Python or JavaScript."""
    parts: list[str] = []
    step: Path | None = path
    while step:
        step, key = step
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif step is None:
            parts.append(key)
        else:
            parts.append(f".{key}" if key.isidentifier() else f"[{json.dumps(key)}]")
    return "".join(reversed(parts))
