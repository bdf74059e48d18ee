"""Extracting: what of an event's payload can be searched. Pure, and bounded for any payload.

A JSON payload gives the strings in it, in the order in which they stand: of objects that
`payload_shapes` knows those it names, of all others every member's; names of members, numbers and
truth values are left out. A string that is the arguments or the result of a tool and is itself a
JSON text is read as that. A binary payload gives its text when its content type is text/*, and
nothing otherwise. Data URLs, long runs of base64 and words of more than 511 letters are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from runstore_storage.contract.payloads import Payload
from runstore_storage.search.shapes import MAY_BE_JSON, members
from runstore_storage.search.words import PART_END, UNSPACED, cleaned

# What of one event is searched at most: its beginning. A tsvector then stays far below 1 MB.
MAX_TEXT_BYTES = 1 << 16
# A payload beyond this is not parsed; larger ones than the server takes come from nowhere else.
MAX_PAYLOAD_CHARACTERS = 64 << 20
# What is looked at of one string, so that blobs at its beginning cost little.
MAX_STRING = 4 * MAX_TEXT_BYTES
MAX_VALUES = 100_000
MAX_DEPTH = 600

# A shorter string has neither a blob in base64 nor a word that is left out.
SHORTEST_BLOB = 512
_DATA_URL = "data:"

# Every repetition is bounded or begins at one place only: no string takes more than linear time.
_BLOBS = re.compile(
    rf"\b{_DATA_URL}[\w.+-]{{1,80}}/[\w.+-]{{1,80}}(?:;[\w.+=-]{{1,80}}){{0,5}},[^\s\"'<>)]*"
    rf"|(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{{{SHORTEST_BLOB},}}",
    re.ASCII,
)
_LONG_WORDS = re.compile(f"(?<![^\\W{UNSPACED}])[^\\W{UNSPACED}]{{{SHORTEST_BLOB},}}")


def text_of(payload: Payload | None) -> str:
    """The searchable text of a payload: cleaned parts, one a line; empty when there is none."""
    if payload is None:
        return ""
    parts: list[str] = []
    room = MAX_TEXT_BYTES
    for string in _strings(payload):
        part = _cut(cleaned(_without_blobs(string[:MAX_STRING])[:room]), room)
        if part:
            parts.append(part)
            room -= len(part.encode()) + len(PART_END)
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
        yield from _walk(_parsed(content))


def _walk(value: Any) -> Iterator[str]:
    """The strings of a value, depth first; an own stack, so that no depth is too much."""
    stack: list[tuple[int, Any]] = [(0, value)]
    for _ in range(MAX_VALUES):
        if not stack:
            return
        depth, each = stack.pop()
        if isinstance(each, str):
            yield each
        elif depth < MAX_DEPTH and isinstance(each, dict):
            inside = [_read(name, member) for name, member in members(each)]
            stack.extend((depth + 1, member) for member in reversed(inside))
        elif depth < MAX_DEPTH and isinstance(each, list):
            stack.extend((depth + 1, member) for member in reversed(each))


def _read(name: str, member: Any) -> Any:
    """A member's value; the JSON inside of it where that is what such members hold."""
    if name not in MAY_BE_JSON:
        return member
    if isinstance(member, dict) and isinstance(member.get("stringValue"), str):
        member = member["stringValue"]
    if isinstance(member, str) and member.lstrip()[:1] in {"{", "["}:
        inside = _parsed(member)
        return member if inside is None else inside
    return member


def _parsed(text: str) -> Any:
    """The value of a JSON text; None where it has none that Python can hold."""
    try:
        return _JSON.decode(text)
    except (ValueError, RecursionError):
        return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; the values of a repeated name become a list."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: same[0] if len(same) == 1 else same for name, same in values.items()}


def _cut(text: str, room: int) -> str:
    """As much of the text as its UTF-8 has room for."""
    data = text.encode()
    return text if len(data) <= room else data[:room].decode(errors="ignore")


def _nothing(_number: str) -> None:
    """Numbers are not searched; some are longer than Python would read."""


_JSON = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_nothing, parse_float=_nothing, parse_constant=_nothing
)
