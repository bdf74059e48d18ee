"""Snippets: the part of a text that shows why it matched, with the matches highlighted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from runstore_storage.contract.search import Snippet
from runstore_storage.search.queries import Term
from runstore_storage.search.words import Word, words_of

SNIPPET_CHARACTERS = 240
LEAD_CHARACTERS = 60
# Words are cut again from this far before a match, so that they are cut as in the whole text.
_RUN_UP = 600
MAX_HIGHLIGHTS = 100
ELLIPSIS = "…"

Range = tuple[int, int]


def snippet_of(text: str, terms: Sequence[Term]) -> Snippet:
    """About `SNIPPET_CHARACTERS` characters around the text's first match, cut between words.

    Highlights are (start, length) in characters of the snippet, in order and without overlaps.
    """
    marks = list(islice(_marks_near(text, terms), MAX_HIGHLIGHTS))
    begin, end = _bounds(text, marks[0][0] if marks else 0)
    lead = ELLIPSIS if begin else ""
    shown = lead + text[begin:end] + (ELLIPSIS if end < len(text) else "")
    inside = _merged([mark for mark in marks if begin <= mark[0] and mark[1] <= end])
    shift = len(lead) - begin
    return Snippet(
        shown.replace("\n", " "),
        tuple((start + shift, stop - start) for start, stop in inside),
    )


def _marks_near(text: str, terms: Sequence[Term]) -> Iterator[Range]:
    """The matches from a little before the first one on; from the beginning if in doubt."""
    first = _likely_first(text, terms)
    if first > _RUN_UP:
        begin = text.rfind(" ", 0, first - _RUN_UP // 2) + 1
        found = list(islice(_marks(text, begin, terms), MAX_HIGHLIGHTS))
        if found:
            yield from found
            return
    yield from _marks(text, 0, terms)


def _likely_first(text: str, terms: Sequence[Term]) -> int:
    """Where the first letters of a term first occur: a fast and inexact guess."""
    starts = "|".join(re.escape(term.keys[0][0]) for term in terms)
    found = re.search(starts, text, re.IGNORECASE)
    return found.start() if found else 0


def _marks(text: str, begin: int, terms: Sequence[Term]) -> Iterator[Range]:
    """(start, end) of the matches from `begin` on, up to a little behind the first one."""
    words: dict[int, Word] = {}
    last = 0
    for word in words_of(text[begin:]):
        if last and word.start > last:
            break
        words[word.number] = word
        if not last and any(word.key.startswith(term.keys[0][0]) for term in terms):
            last = word.start + 2 * SNIPPET_CHARACTERS
    for number, word in words.items():
        for term in terms:
            if end := _end_of(term, number, words):
                yield begin + word.start, begin + end


def _end_of(term: Term, number: int, words: Mapping[int, Word]) -> int:
    """Where a term that begins with the numbered word ends; 0 if it does not begin there."""
    if term.is_prefix:
        word = words[number]
        return word.start + 1 if word.key.startswith(term.keys[0][0]) else 0
    end = 0
    for key, at in term.keys:
        each = words.get(number + at)
        if each is None or each.key != key:
            return 0
        end = each.end
    return end


def _bounds(text: str, first: int) -> Range:
    """Where the snippet around a match begins and ends: between words if there are spaces."""
    begin = max(first - LEAD_CHARACTERS, 0)
    if begin:
        space = text.find(" ", begin, first)
        begin = space + 1 if space >= 0 else begin
    end = min(begin + SNIPPET_CHARACTERS, len(text))
    if end < len(text):
        space = text.rfind(" ", end - LEAD_CHARACTERS, end)
        end = space if space > first else end
    return begin, end


def _merged(marks: Sequence[Range]) -> list[Range]:
    """The ranges in order; those that overlap or touch are joined."""
    merged: list[Range] = []
    for start, end in sorted(marks):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged
