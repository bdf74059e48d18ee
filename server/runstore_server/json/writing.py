"""JSON texts that hold other JSON texts exactly as they are.

Payloads must come back byte for byte: key order, duplicate keys, 1.0 and numbers of any size. What
is parsed and written again is another text, so payloads are spliced in unread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import TypeAlias

from starlette.responses import Response

NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class RawJson:
    """A JSON text that is written as it is; who makes one vouches for it."""

    text: str


JsonValue: TypeAlias = (
    "bool | int | float | str | RawJson | Mapping[str, JsonValue] | Sequence[JsonValue] | None"
)


class JsonResponse(Response):
    """An answer in JSON that nobody keeps."""

    media_type = "application/json"

    def __init__(self, value: JsonValue) -> None:
        super().__init__(written(value).encode(), headers=NO_STORE)


def written(value: JsonValue) -> str:
    """The value as a JSON text on one line, but for the line breaks of raw texts in it."""
    pieces: list[str] = []
    _write(value, pieces.append)
    return "".join(pieces)


def _write(value: JsonValue, put: Callable[[str], None]) -> None:
    if isinstance(value, str):
        put(encode_basestring(value))
    elif isinstance(value, RawJson):
        put(value.text)
    elif value is None:
        put("null")
    elif isinstance(value, bool):
        put("true" if value else "false")
    elif isinstance(value, int | float):
        put(repr(value))
    elif isinstance(value, Mapping):
        _write_members(value, put)
    else:
        _write_items(value, put)


def _write_members(members: Mapping[str, JsonValue], put: Callable[[str], None]) -> None:
    before = "{"
    for name, value in members.items():
        put(before + encode_basestring(name) + ":")
        _write(value, put)
        before = ","
    put("}" if members else "{}")


def _write_items(items: Sequence[JsonValue], put: Callable[[str], None]) -> None:
    before = "["
    for item in items:
        put(before)
        _write(item, put)
        before = ","
    put("]" if items else "[]")
