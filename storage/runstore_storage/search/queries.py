"""Search queries: the text people type, parsed into a tsquery and the terms a snippet highlights.

The syntax is that of web search engines: all words must occur; `"several words"` next to each
other; `a OR b` means either; `-word` excludes. Nothing else has a meaning, so no query is
malformed; a query without a word to look for has a `problem` that says so. A word with punctuation
inside (`src/app.py`) is a phrase of its parts. AND binds tighter than OR, and there are no
parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from runstore_storage.search.words import Word, cleaned, words_of

# Terms beyond these are joined to the last condition.
MAX_CONDITIONS = 8

_TERMS = re.compile(r'(-?)"([^"]*)"?|(\S+)')


@dataclass(frozen=True, slots=True)
class Term:
    """A phrase: the keys of its words with their distances from the first.

    A single unspaced character is a prefix.
    """

    keys: tuple[tuple[str, int], ...]
    is_prefix: bool = False

    def __str__(self) -> str:
        """The term in a tsquery."""
        parts = [quoted(self.keys[0][0]) + (":*" if self.is_prefix else "")]
        for (_, before), (key, at) in zip(self.keys, self.keys[1:], strict=False):
            parts.append(f"<{at - before}> {quoted(key)}")
        return f"({' '.join(parts)})"


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A query as Postgres reads it, and the terms that are highlighted in a match.

    `conditions` are tsqueries that together mean the same as `tsquery`: with several of them,
    Postgres skips through the index from one to the next instead of walking through all of it.
    """

    tsquery: str
    conditions: tuple[str, ...]
    terms: tuple[Term, ...]
    problem: str = ""


def parse(query: str) -> ParsedQuery:
    """Parse a query; `problem` says why it cannot match anything."""
    alternatives: list[tuple[list[Term], list[Term]]] = [([], [])]
    for is_negated, text in _terms(query):
        if text is None:
            alternatives.append(([], []))
        elif term := _term(text):
            alternatives[-1][is_negated].append(term)
    meant = [(wanted, unwanted) for wanted, unwanted in alternatives if wanted or unwanted]
    if not meant:
        return ParsedQuery("", (), (), "holds no word to look for")
    if not all(wanted for wanted, _ in meant):
        return ParsedQuery("", (), (), "must look for a word wherever it excludes one")
    tsquery = " | ".join(f"({_all_of(*alternative)})" for alternative in meant)
    conditions = _conditions(*meant[0]) if len(meant) == 1 else (tsquery,)
    terms = tuple(term for wanted, _ in meant for term in wanted)
    return ParsedQuery(tsquery, conditions, terms)


def quoted(lexeme: str) -> str:
    """A lexeme as tsvectors and tsqueries spell it."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"


def either(lexemes: Iterable[str]) -> str:
    """A tsquery that any of the lexemes matches."""
    return " | ".join(map(quoted, lexemes))


def _conditions(wanted: Sequence[Term], unwanted: Sequence[Term]) -> tuple[str, ...]:
    """One condition for each term.

    Unwanted terms are joined to a wanted one: by themselves they would match nearly everything.
    """
    single = wanted[: MAX_CONDITIONS - 1] if len(wanted) > 1 else []
    rest = wanted[len(single) :] or wanted[-1:]
    return (*map(str, single), _all_of(rest, unwanted))


def _all_of(wanted: Sequence[Term], unwanted: Sequence[Term]) -> str:
    return " & ".join([*map(str, wanted), *(f"!{term}" for term in unwanted)])


def _terms(query: str) -> Iterator[tuple[bool, str | None]]:
    """(is negated, text) of each term, and (False, None) for each OR."""
    for minus, phrase, word in _TERMS.findall(cleaned(query)):
        if not word:
            yield bool(minus), phrase
        elif word.upper() == "OR":
            yield False, None
        else:
            yield word.startswith("-"), word


def _term(text: str) -> Term | None:
    words = list(_without_tails(list(words_of(text))))
    if not words:
        return None
    first = words[0]
    is_prefix = len(words) == 1 and first.is_unspaced and first.end - first.start == 1
    return Term(tuple((word.key, word.number - first.number) for word in words), is_prefix)


def _without_tails(words: Sequence[Word]) -> Iterator[Word]:
    """Words without the last character of an unspaced run, which is in its last pair already."""
    for before, word in zip([None, *words], words, strict=False):
        is_tail = word.is_unspaced and word.end - word.start == 1
        if not (is_tail and before and before.is_unspaced and before.end == word.end):
            yield word
