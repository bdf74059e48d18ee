"""Whether a text is JSON that the store accepts. Texts are only read, never changed."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

MAX_JSON_DEPTH = 512
# A larger text can hold so many values that collecting garbage while parsing takes several times as
# long as parsing itself, and every other call waits.
SMALL_TEXT = 1 << 16


def json_problem(text: str) -> str:
    """Why the text is not JSON (RFC 8259) that the store accepts; empty if it is."""
    if len(text) <= SMALL_TEXT:
        return _problem(text)
    with _no_collection():
        return _problem(text)


def _problem(text: str) -> str:
    try:
        value = _JSON.decode(text)
    except RecursionError:
        return f"nests deeper than {MAX_JSON_DEPTH} levels"
    except ValueError as error:
        return f"is not JSON: {error}"
    if text.count("[") + text.count("{") > MAX_JSON_DEPTH and _is_too_deep(value):
        return f"nests deeper than {MAX_JSON_DEPTH} levels"
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


@contextmanager
def _no_collection() -> Iterator[None]:
    """Suspend garbage collection; parsing makes no cyclic garbage."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _no_constant(spelling: str) -> NoReturn:
    raise ValueError(f"{spelling} is not a JSON value")


# Numbers are recognised but not converted: the store does not care about their size.
_JSON = json.JSONDecoder(parse_constant=_no_constant, parse_int=str, parse_float=str)
