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
from functools import cache

# How many scalars of a container one step takes, and how many other values.
STEP_SCALARS = 64
STEP_ITEMS = 8
# Such a value nests at most so deep, and has few members on each level: more on the innermost.
LEVELS = 4
FEW = 6
FEW_SCALARS = 16
# A short string has few escapes, and few characters before and between them.
FEW_ESCAPES = 16
FEW_CHARACTERS = 256
# How many characters of a long string one step takes.
PIECE_CHARACTERS = 32 << 10


def _up_to(most: int | str, pattern: str) -> str:
    """A pattern as often as it fits, at most so often, once and for all.

    It is an atomic group: before Python 3.11.5 a possessive repeat of more than one character could
    miss what matches (gh-106052).
    """
    return f"(?>(?:{pattern}){{0,{most}}})"


_WS = r"[ \t\n\r]*+"
_PLAIN = r'[^"\\\x00-\x1f]'
_ESCAPE = r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})'
_RUN = f"{_PLAIN}{{0,{FEW_CHARACTERS}}}+"
_STRING = f'"{_RUN}{_up_to(FEW_ESCAPES, _ESCAPE + _RUN)}"'
_FRACTION, _EXPONENT = _up_to(1, r"\.[0-9]++"), _up_to(1, r"[eE][-+]?[0-9]++")
_NUMBER = f"-?(?:0|[1-9][0-9]*+){_FRACTION}{_EXPONENT}"
_WORD_OR_NUMBER = f"{_NUMBER}|true|false|null"
_SCALAR = f"(?:{_STRING}|{_WORD_OR_NUMBER})"
_KEY = f"{_STRING}{_WS}:{_WS}"
# What stands before a value is not followed by what may only stand after one.
_BEGINS = r"(?![\]},])"
_IS_AFTER_VALUE = r"(?=[\]},])"
# What stands between two values of a container, by the bracket that opened it.
_BETWEEN = {"[": f",{_WS}{_BEGINS}", "{": f",{_WS}{_KEY}{_BEGINS}"}
_OPENED_BY = {"]": "[", "}": "{"}


def _flat(levels: int) -> str:
    """A scalar, or a container that nests at most so deep and has few members."""
    if not levels:
        return _SCALAR
    value, most = _flat(levels - 1), FEW if levels > 1 else FEW_SCALARS

    def members(member: str, end: str) -> str:
        # After a comma comes a member; after none comes the end.
        return _up_to(most, f"{member}{_WS}(?:,{_WS}(?!{end})|(?={end}))") + end

    in_array, in_object = members(value, "\\]"), members(_KEY + value, "\\}")
    return f"(?:{_SCALAR}|\\[{_WS}{in_array}|\\{{{_WS}{in_object})"


@cache  # when a large text comes: to compile all of them would delay every start
def _values(levels: int, bracket: str) -> re.Pattern[str]:
    """Some values of a container that nest at most so deep, with what stands before each next."""

    def some(value: str, most: int) -> str:
        return _up_to(most, f"{value}{_WS}(?:{_BETWEEN[bracket]}|{_IS_AFTER_VALUE})")

    return re.compile(some(_SCALAR, STEP_SCALARS) + some(_flat(levels), STEP_ITEMS))


# The beginning of a container that is not empty, up to its first value.
_OPENING = {
    "[": re.compile(f"\\[{_WS}{_BEGINS}"),
    "{": re.compile(f"\\{{{_WS}{_KEY}{_BEGINS}"),
}
_NEXT = {bracket: re.compile(between) for bracket, between in _BETWEEN.items()}
# Containers one in another, each up to the next one, without other brackets on the way.
_NO_BRACKET = r'"[^"\\\x00-\x1f\[\]{}]{0,64}+"'
_BEFORE = _up_to(16, f"(?:{_NO_BRACKET}|{_WORD_OR_NUMBER}){_WS},{_WS}")
_MEMBER = f"{_NO_BRACKET}{_WS}:{_WS}"
_MEMBERS_BEFORE = _up_to(16, f"{_MEMBER}(?:{_NO_BRACKET}|{_WORD_OR_NUMBER}){_WS},{_WS}")
_OPENINGS = re.compile(
    _up_to(1024, f"(?:\\[{_WS}{_BEFORE}|\\{{{_WS}{_MEMBERS_BEFORE}{_MEMBER})(?=[\\[{{])")
)
_NO_OPENING = re.compile(r"[^\[{]++")
_CLOSINGS = re.compile(_up_to(1024, f"[\\]}}]{_WS}"))
# A text of one value; a larger one has at least one value in it.
_WHOLE = re.compile(f"{_WS}{_flat(1)}{_WS}")
_SPACE = re.compile(_WS)
_AFTER_VALUE = re.compile(_WS + _IS_AFTER_VALUE)
# What stands before a key that is too long for the patterns above, a piece of it, and what follows.
_BEFORE_KEY = re.compile(f"[{{,]{_WS}")
_PIECE = re.compile(_up_to("", f"{_PLAIN}++|{_ESCAPE}"))
_COLON = re.compile(f"{_WS}:{_WS}{_BEGINS}")


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
    at, levels = _open(text, at, opened, max_depth), 1
    while True:
        begin, bracket = at, opened[-1]
        at = _end(_values(min(levels, max_depth - len(opened)), bracket), text, begin)
        follows = text[at : at + 1]
        if follows == '"':
            at = _end(_AFTER_VALUE, text, _string_end(text, at))
            follows = text[at : at + 1]
        if follows in _OPENED_BY:
            at, levels = _close(text, at, opened), LEVELS
            if not opened:
                return at
            at = _next(_NEXT, text, at, opened[-1])
        elif follows == ",":
            at = _next(_NEXT, text, at, bracket)
        elif at == begin:
            # No value that fits; most of what is in it would be looked at once more in vain.
            at, levels = _open(text, at, opened, max_depth), 1


def _open(text: str, at: int, opened: list[str], max_depth: int) -> int:
    """Note containers that begin here, and return where the first value of the last begins."""
    openings = _OPENINGS.match(text, at)
    assert openings, "the pattern matches anything"
    begun = _NO_OPENING.sub("", openings.group()) or text[at : at + 1]
    if begun[0:1] in _BETWEEN and len(opened) + len(begun) > max_depth:
        raise TooDeep
    opened.extend(begun)
    return openings.end() if openings.end() > at else _next(_OPENING, text, at, begun)


def _close(text: str, at: int, opened: list[str]) -> int:
    """Forget the containers that end here, and return what follows them."""
    end = _end(_CLOSINGS, text, at)
    for bracket in text[at] if end == at + 1 else "".join(text[at:end].split()):
        if not opened or opened.pop() != _OPENED_BY[bracket]:
            raise NotJson(at)
    return end


def _next(patterns: Mapping[str, re.Pattern[str]], text: str, at: int, bracket: str) -> int:
    """Where the next value of the container begins, after its key if it has one."""
    begins_with = "," if patterns is _NEXT else bracket
    if bracket not in patterns or not text.startswith(begins_with, at):
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
