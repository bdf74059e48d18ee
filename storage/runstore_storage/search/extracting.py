"""Extracting: the searchable text of an event's payload. Pure, and bounded for any payload.

Of a JSON payload it takes the strings, in their order: of an object whose shape `shapes` knows,
those of the members named there first, and none of what is not text by that shape; of any other
object, those of every member. Member names, numbers and booleans are left out. A string that holds
the arguments or the result of a tool and is itself JSON text is read as JSON. A binary payload is
text if its content type is text/*, and has none otherwise. Of a JSON text of more than a million
strings and lists the strings are taken whatever the shape. Data URLs, long runs of base64 and words
of more than 511 letters are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from runstore_storage.contract.payloads import Payload
from runstore_storage.search.shapes import MAY_BE_JSON, OTEL, members
from runstore_storage.search.words import PART_END, UNSPACED, cleaned

# Only this much of an event, its beginning, is searchable: a tsvector then stays far below 1 MB.
MAX_TEXT_BYTES = 1 << 16
# A longer payload is not parsed. The server accepts none that long.
MAX_PAYLOAD_CHARACTERS = 64 << 20
# How much of one string is looked at, so that blobs at its beginning cost little.
MAX_STRING = 4 * MAX_TEXT_BYTES
MAX_VALUES = 100_000
# Python's parser holds the interpreter while it makes strings and lists: these, for a tenth of a
# second.
MAX_PARSED = 1_000_000
MAX_DEPTH = 600

# A shorter string holds neither a base64 blob nor a word to leave out.
SHORTEST_BLOB = 512
_DATA_URL = "data:"

# Every repetition is bounded or can start at one point only: any string takes linear time.
_BLOBS = re.compile(
    rf"\b{_DATA_URL}[\w.+-]{{1,80}}/[\w.+-]{{1,80}}(?:;[\w.+=-]{{1,80}}){{0,5}},[^\s\"'<>)]*"
    rf"|(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{{{SHORTEST_BLOB},}}",
    re.ASCII,
)
_COLON = re.compile(r"[ \t\n\r]*:")
_LONG_WORDS = re.compile(f"(?<![^\\W{UNSPACED}])[^\\W{UNSPACED}]{{{SHORTEST_BLOB},}}")


def text_of(payload: Payload | None) -> str:
    """The searchable text of a payload: cleaned parts, one a line; empty if it has none."""
    if payload is None:
        return ""
    parts: list[str] = []
    room = MAX_TEXT_BYTES
    for string in _strings(payload):
        part = _cut(cleaned(_without_blobs(string[:MAX_STRING])[:room]), room)
        if part:
            parts.append(part)
            room -= len(part if part.isascii() else part.encode()) + len(PART_END)
        if room <= 0:
            break
    return PART_END.join(parts)


def _without_blobs(string: str) -> str:
    if len(string) < SHORTEST_BLOB and _DATA_URL not in string:
        return string
    return _LONG_WORDS.sub(" ", _BLOBS.sub(" ", string))


def _strings(payload: Payload) -> Iterator[str]:
    content = payload.content
    if isinstance(content, bytes):
        if payload.content_type.lower().startswith("text/"):
            yield content[: 4 * MAX_STRING].decode(errors="replace")
    elif len(content) <= MAX_PAYLOAD_CHARACTERS:
        yield from _every_string(content) if _is_costly(content) else _walk(_parsed(content))


def _is_costly(text: str) -> bool:
    return text.count("[") + text.count('"') // 2 > MAX_PARSED


def _every_string(text: str) -> Iterator[str]:
    """The strings of a JSON text that are no members' names, found one at a time."""
    at = text.find('"')
    for _ in range(MAX_VALUES):
        if at < 0:
            return
        string, end = _JSON.raw_decode(text, at)
        if not _COLON.match(text, end):
            yield string
        at = text.find('"', end)


def _walk(value: Any) -> Iterator[str]:
    """The strings of a value, depth first; its own stack takes any depth of nesting."""
    stack: list[tuple[int, Any]] = [(0, value)]
    for _ in range(MAX_VALUES):
        if not stack:
            return
        depth, each = stack.pop()
        if isinstance(each, str):
            yield each
        elif depth < MAX_DEPTH and isinstance(each, dict):
            inside = [
                _read(member) if name in MAY_BE_JSON or name.startswith(OTEL) else member
                for name, member in members(each)
            ]
            stack.extend((depth + 1, member) for member in reversed(inside))
        elif depth < MAX_DEPTH and isinstance(each, list):
            stack.extend((depth + 1, member) for member in reversed(each[:MAX_VALUES]))


def _read(member: Any) -> Any:
    """The value of a member that may hold JSON text: the value of that text, if it is one."""
    if isinstance(member, dict) and isinstance(member.get("stringValue"), str):
        member = member["stringValue"]
    if isinstance(member, str) and member.lstrip()[:1] in {"{", "["}:
        inside = _parsed(member)
        return member if inside is None else inside
    return member


def _parsed(text: str) -> Any:
    """The value of a JSON text; None if Python cannot read it, or not fast enough."""
    if _is_costly(text):
        return None
    try:
        return _JSON.decode(text)
    except (ValueError, RecursionError):
        return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; the values of a repeated member become a list."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: same[0] if len(same) == 1 else same for name, same in values.items()}


def _cut(text: str, room: int) -> str:
    """As much of the text as fits into `room` bytes of UTF-8."""
    if text.isascii():
        return text[:room]
    data = text.encode()
    return text if len(data) <= room else data[:room].decode(errors="ignore")


def _nothing(_number: str) -> None:
    """Numbers are not searched, and some are longer than Python would read."""


_JSON = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_nothing, parse_float=_nothing, parse_constant=_nothing
)
