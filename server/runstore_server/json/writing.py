"""JSON texts that hold other JSON texts exactly as they are.

Payloads must come back byte for byte: key order, duplicate keys, 1.0 and numbers of any size.
Parsing a text and writing it again changes it, so payloads are spliced in unread.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class RawJson:
    """A JSON text that is written as it is; its maker guarantees that it is valid."""

    text: str


JsonValue: TypeAlias = (
    "bool | int | float | str | RawJson | Mapping[str, JsonValue] | Sequence[JsonValue] | None"
)
JsonObject: TypeAlias = dict[str, JsonValue]


def written(value: JsonValue) -> str:
    """The value as a JSON text on one line, except for the line breaks of raw texts in it."""
    pieces: list[str] = []
    _write(value, pieces.append)
    return "".join(pieces)


def written_without(breaks: str, value: JsonValue) -> str:
    """The value as a JSON text without any of the characters `breaks`, which are line breaks.

    Outside of its strings JSON allows a line break only as white space, so a blank in its place
    leaves the value unchanged. A payload whose text has any gets its exact bytes in `json_base64`.
    """
    text = written(value)
    if not any(each in text for each in breaks):
        return text
    return written(_with_blanks(value, dict.fromkeys(map(ord, breaks), " ")))


def _with_blanks(value: JsonValue, blanks: dict[int, str]) -> JsonValue:
    if isinstance(value, RawJson):
        return RawJson(value.text.translate(blanks))
    if isinstance(value, Mapping):
        members: JsonObject = {name: _with_blanks(each, blanks) for name, each in value.items()}
        raw = value.get("json")
        if isinstance(raw, RawJson) and members["json"] != raw:
            members["json_base64"] = b64encode(raw.text.encode()).decode()
        return members
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_with_blanks(each, blanks) for each in value]
    return value


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
