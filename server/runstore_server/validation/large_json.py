"""Whether a large text is JSON, found out in steps that let other threads run between them.

Python's own parser holds the interpreter until it has made every value: seconds for some texts that
fit a request. This one makes none. A step is a match that takes a bounded number of values, except
that a string is one step however long it is.
"""

from __future__ import annotations

import re

# How many items one step takes, and how many members a container may have to be such an item.
STEP_ITEMS = 64
FEW = 32

_WS = r"[ \t\n\r]*+"
_STRING = r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+"
_SCALAR = f"(?:{_STRING}|{_NUMBER}|true|false|null)"
_KEY = f"{_STRING}{_WS}:{_WS}"


def _few(item: str) -> str:
    """At most a few items, with commas between them."""
    return f"(?:{item}{_WS}(?:,{_WS}{item}{_WS}){{0,{FEW - 1}}}+)?+"


# A scalar, or a container of a few scalars.
_FLAT = f"(?:{_SCALAR}|\\[{_WS}{_few(_SCALAR)}\\]|\\{{{_WS}{_few(_KEY + _SCALAR)}\\}})"
# What stands between two values of a container, by the bracket that opened it.
_BETWEEN = {"[": f",{_WS}", "{": f",{_WS}{_KEY}"}
# The beginning of a container that is not empty, up to its first value.
_OPENING = re.compile(f"\\[{_WS}(?!\\])|\\{{{_WS}{_KEY}")


def _values(value: str, between: str) -> re.Pattern[str]:
    """Some values of a container; then one that may be its last, unless a larger one follows."""
    return re.compile(f"(?:{value}{_WS}{between}){{0,{STEP_ITEMS}}}+({value}{_WS})?")


_VALUES = {bracket: _values(_FLAT, between) for bracket, between in _BETWEEN.items()}
_SCALARS = {bracket: _values(_SCALAR, between) for bracket, between in _BETWEEN.items()}
_NEXT = {bracket: re.compile(between) for bracket, between in _BETWEEN.items()}
_CLOSING = {bracket: re.compile(f"\\{end}{_WS}") for bracket, end in ("[]", "{}")}
_WHOLE = re.compile(f"{_WS}{_FLAT}{_WS}")
_SPACE = re.compile(_WS)


class NotJson(ValueError):
    """The text is not JSON; `at` is the first character that does not fit, or close before it."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class TooDeep(ValueError):
    """The text nests deeper than it may."""


def scan(text: str, max_depth: int) -> None:
    """Return if the text is JSON (RFC 8259); raise `NotJson` or `TooDeep` if not."""
    if whole := _WHOLE.match(text):
        end = whole.end()
    else:
        end = _nested(text, _end(_SPACE, text, 0), max_depth)
    if end != len(text):
        raise NotJson(end)


def _nested(text: str, at: int, max_depth: int) -> int:
    """The end of the container that begins here."""
    opened: list[str] = []
    while True:
        at = _open(text, at, opened, max_depth)
        while True:
            values = (_VALUES if len(opened) < max_depth else _SCALARS)[opened[-1]]
            found = values.match(text, at)
            assert found, "the pattern matches anything"
            at = found.end()
            if found.group(1) is None:
                break
            while opened and (closing := _CLOSING[opened[-1]].match(text, at)):
                opened.pop()
                at = closing.end()
            if not opened:
                return at
            at = _end(_NEXT[opened[-1]], text, at)


def _open(text: str, at: int, opened: list[str], max_depth: int) -> int:
    """Note the container that begins here, and return where its first value begins."""
    if text[at : at + 1] in _BETWEEN and len(opened) == max_depth:
        raise TooDeep
    opened.append(text[at : at + 1])
    return _end(_OPENING, text, at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    if found is None:
        raise NotJson(at)
    return found.end()
