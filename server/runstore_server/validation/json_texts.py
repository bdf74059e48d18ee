"""Whether a text is JSON that the store accepts. Texts are only read, never changed."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import orjson

from runstore_server.validation.large_json import NotJson, TooDeep, scan

MAX_JSON_DEPTH = 512
# Of a larger text the parser may make so many values that every other call waits for it.
SMALL_TEXT = 256 << 10

_TOO_DEEP = f"nests deeper than {MAX_JSON_DEPTH} levels"


def json_problem(text: str) -> str:
    """Why the text is not JSON (RFC 8259) that the store accepts; empty if it is."""
    if len(text) > SMALL_TEXT:
        return _large_problem(text)
    return "" if _is_plainly_json(text) else _problem(text)


def _is_plainly_json(text: str) -> bool:
    """Whether a fast parser takes the text, which cannot be too deep. It refuses some JSON."""
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return len(text) <= MAX_JSON_DEPTH or text.count("[") + text.count("{") <= MAX_JSON_DEPTH


def _large_problem(text: str) -> str:
    try:
        scan(text, MAX_JSON_DEPTH)
    except TooDeep:
        return _TOO_DEEP
    except NotJson as error:
        line = text.count("\n", 0, error.at) + 1
        return f"is not JSON: line {line} (char {error.at})"
    return ""


def _problem(text: str) -> str:
    try:
        value = _JSON.decode(text)
    except RecursionError:
        return _TOO_DEEP
    except ValueError as error:
        return f"is not JSON: {error}"
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH and _is_too_deep(value):
        return _TOO_DEEP
    return ""


def _is_too_deep(value: Any) -> bool:
    level = [value] if type(value) in (dict, list) else []
    for _ in range(MAX_JSON_DEPTH):
        level = [
            member
            for each in level
            for member in (each.values() if type(each) is dict else each)
            if type(member) is dict or type(member) is list
        ]
        if not level:
            return False
    return True


def _no_constant(spelling: str) -> NoReturn:
    raise ValueError(f"{spelling} is not a JSON value")


# Numbers are recognised but not converted: the store does not care about their size.
_JSON = json.JSONDecoder(parse_constant=_no_constant, parse_int=str, parse_float=str)
