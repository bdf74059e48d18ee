"""Words: how a text is cut into the words that are indexed, and a query into those looked for.

One tokenizer serves both, so anything in a text is found by writing it the same way:

- A text is first brought to Unicode's NFKC form without control characters and lone surrogates, and
  each run of white space becomes one space. `cleaned` does that once; all later character counts
  are of the cleaned text.
- A word is a run of letters, digits and their marks; everything else separates words.
  `src/app_main.py` is the words src, app, main, py, and in a query a phrase of them.
- Words are compared case-folded. There is no stemming and there are no stop words: runs are in
  every language, and names and code matter as much as prose.
- Scripts without spaces between words (Chinese, Japanese, Thai and the like; also Korean, which
  attaches particles to its words) are cut into pairs of neighbouring characters.
- A symbol such as an emoji is a word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

# A longer word is a blob or a mistake; no one searches for it. Its UTF-8 fits into a lexeme.
MAX_WORD = 255
# As many as Unicode's stream-safe text format allows; no language needs more than a few.
MAX_MARKS = 30
# Separates the parts of a text, so that no phrase spans two of them.
PART_END = "\n"

# The inside of a character class: scripts without spaces between words, and Korean.
UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0eff\u1000-\u1049\u1050-\u109f\u1100-\u11ff\u1780-\u17d3"
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u302f\u3031-\u303c\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u3105-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_SYMBOLS = "\u2190-\u2bff\U0001f000-\U0001faff"
_MARKS_AND_OTHERS = range(0x300, 0x20000)
_VARIANT_SELECTORS = range(0xFE00, 0xFE10)
# Stands for `PART_END` among the words of a text.
BETWEEN_PARTS = "\x01"
# Capital letters as small ones, the ends of parts, and a space for what separates words.
_ASCII = bytes(
    ord(chr(each).lower()) if chr(each).isalnum() or chr(each) == PART_END else ord(" ")
    for each in range(128)
) + bytes(128)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\s]+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a cleaned text: the key it is compared by, and its range in characters.

    `number` counts words; neighbours differ by one, words of different parts by more.
    """

    key: str
    number: int
    start: int
    end: int
    is_unspaced: bool = False


def cleaned(text: str) -> str:
    """One part of a text, ready to be cut into words.

    Marks beyond the `MAX_MARKS` of one character are left out: normalising takes the square of
    their number.
    """
    if text.isascii():  # is in NFKC form, and has no marks
        if text.isprintable() and "  " not in text:
            return text.strip(" ")
        return " ".join(_UNSAFE.sub(" ", text).split())
    safe = _many_marks().sub(r"\1", _UNSAFE.sub(" ", text))
    return " ".join(_UNSAFE.sub(" ", unicodedata.normalize("NFKC", safe)).split())


def words_of(text: str) -> Iterator[Word]:
    """The words of a cleaned text in order; the numbers of words that are too long are skipped."""
    number = 0
    for found in _pattern().finditer(text):
        kind, start, end = found.lastgroup, found.start(), found.end()
        number += 1
        if kind == "unspaced":
            for at in range(start, end):
                # The last character is a word of its own, so that it can be searched for too.
                pair = text[at : min(at + 2, end)].casefold()
                yield Word(pair, number + at - start, at, min(at + 2, end), is_unspaced=True)
            number += end - start - 1
        elif kind != "part" and end - start <= MAX_WORD:
            yield Word(text[start:end].casefold(), number, start, end)


def ascii_keys(text: str) -> list[str] | None:
    """The keys of a cleaned text, numbered from 1 on, and `BETWEEN_PARTS`.

    It is `words_of` in brief, and much faster; None for a text that has other words.
    """
    if not text.isascii():
        return None
    spaced = text.encode().translate(_ASCII).decode()
    keys = spaced.replace(PART_END, f" {BETWEEN_PARTS} ").split()
    return keys if max(map(len, keys), default=0) <= MAX_WORD else None


@cache
def _pattern() -> re.Pattern[str]:
    marks = _marks()
    return re.compile(
        f"(?P<unspaced>[{UNSPACED}]+)"
        f"|(?P<word>(?:[^\\W_{UNSPACED}]|(?![{UNSPACED}])[{marks}])+)"
        f"|(?P<symbol>[{_SYMBOLS}])"
        f"|(?P<part>{PART_END})"
    )


@cache
def _many_marks() -> re.Pattern[str]:
    marks = _marks()
    return re.compile(f"([{marks}]{{{MAX_MARKS}}})[{marks}]+")


@cache
def _marks() -> str:
    """The inside of a character class of Unicode's combining marks, without variant selectors."""
    ranges: list[list[int]] = []
    for code in _MARKS_AND_OTHERS:
        if unicodedata.category(chr(code))[0] != "M" or code in _VARIANT_SELECTORS:
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges)
