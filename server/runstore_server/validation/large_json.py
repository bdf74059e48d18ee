"""Whether a large text is JSON, found out in steps that let other threads run between them.

Python's own parser holds the interpreter until it has made every value: seconds for some texts that
fit a request. This one makes none. A step is a match that takes a bounded number of values, of
which each string is short; a long string takes several steps. A number and a run of spaces are one
step however long they are: they are matched faster than they can be copied.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

# How many items one step takes, and how many members a container may have to be such an item.
STEP_ITEMS = 64
FEW = 32
# A short string has few escapes, and few characters before and between them.
FEW_ESCAPES = 16
FEW_CHARACTERS = 256
# How many characters of a long string one step takes.
PIECE_CHARACTERS = 32 << 10

_WS = r"[ \t\n\r]*+"
_PLAIN = r'[^"\\\x00-\x1f]'
_ESCAPE = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_RUN = f"{_PLAIN}{{0,{FEW_CHARACTERS}}}+"
_STRING = f'"{_RUN}(?:{_ESCAPE}{_RUN}){{0,{FEW_ESCAPES}}}+"'
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
_OPENING = {
    "[": re.compile(f"\\[{_WS}(?!\\])"),
    "{": re.compile(f"\\{{{_WS}{_KEY}"),
}


def _values(value: str, between: str) -> re.Pattern[str]:
    """Some values of a container; then one that may be its last, unless a larger one follows."""
    return re.compile(f"(?:{value}{_WS}{between}){{0,{STEP_ITEMS}}}+({value}{_WS})?")


_VALUES = {bracket: _values(_FLAT, between) for bracket, between in _BETWEEN.items()}
_SCALARS = {bracket: _values(_SCALAR, between) for bracket, between in _BETWEEN.items()}
_NEXT = {bracket: re.compile(between) for bracket, between in _BETWEEN.items()}
_CLOSING = {bracket: re.compile(f"\\{end}{_WS}") for bracket, end in ("[]", "{}")}
_WHOLE = re.compile(f"{_WS}{_FLAT}{_WS}")
_SPACE = re.compile(_WS)
# What stands before a key that is too long for the patterns above, a piece of it, and what follows.
_BEFORE_KEY = re.compile(f"[{{,]{_WS}")
_PIECE = re.compile(f"(?:{_PLAIN}++|{_ESCAPE})*+")
_COLON = re.compile(f"{_WS}:{_WS}")


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
        begin = _end(_SPACE, text, 0)
        if text.startswith('"', begin):
            end = _end(_SPACE, text, _string_end(text, begin))
        else:
            end = _nested(text, begin, max_depth)
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
                if not text.startswith('"', at):
                    break
                at = _end(_SPACE, text, _string_end(text, at))
            while opened and (closing := _CLOSING[opened[-1]].match(text, at)):
                opened.pop()
                at = closing.end()
            if not opened:
                return at
            at = _next(_NEXT, text, at, opened[-1])


def _open(text: str, at: int, opened: list[str], max_depth: int) -> int:
    """Note the container that begins here, and return where its first value begins."""
    bracket = text[at : at + 1]
    if bracket in _BETWEEN and len(opened) == max_depth:
        raise TooDeep
    opened.append(bracket)
    return _next(_OPENING, text, at, bracket)


def _next(patterns: Mapping[str, re.Pattern[str]], text: str, at: int, bracket: str) -> int:
    """Where the next value of the container begins, after its key if it has one."""
    if bracket not in patterns:
        raise NotJson(at)
    if found := patterns[bracket].match(text, at):
        return found.end()
    if bracket == "[":
        raise NotJson(at)
    return _end(_COLON, text, _string_end(text, _end(_BEFORE_KEY, text, at)))


def _string_end(text: str, at: int) -> int:
    """The end of the string that begins here, whatever its length."""
    if not text.startswith('"', at):
        raise NotJson(at)
    at += 1
    while not text.startswith('"', at):
        # A piece may end early, before an escape that would not fit: the next one begins with it.
        end = _end(_PIECE, text, at, at + PIECE_CHARACTERS)
        if end == at:
            raise NotJson(at)
        at = end
    return at + 1


def _end(pattern: re.Pattern[str], text: str, at: int, most: int = sys.maxsize) -> int:
    found = pattern.match(text, at, most)
    if found is None:
        raise NotJson(at)
    return found.end()
