"""What a search row holds, and what a row must hold to match a search.

Beside the words of the text, with their numbers, a row's tsvector holds one lexeme without a number
for each value that searches filter by: `=project:acme/search`, `=type:tool.called`, `=b0:12` (the
block of positions, see `windows`). No word contains a `=`. So one GIN index answers any filter
together with the words, and never reads what another project holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from runstore_storage.contract.feed import FeedEntry
from runstore_storage.contract.search import SearchFilter
from runstore_storage.search.extracting import text_of
from runstore_storage.search.queries import ParsedQuery, either, quoted
from runstore_storage.search.windows import block_lexemes
from runstore_storage.search.words import BETWEEN_PARTS, ascii_keys, words_of
from runstore_storage.sql.search_rows import Matching, SearchRow

# The limits of a tsvector: the greatest number of a word, and how many numbers one word can have.
MAX_NUMBER = 16_383
MAX_NUMBERS_OF_WORD = 255
_NUMBERS = tuple(map(str, range(1, MAX_NUMBER + 1)))
# A longer time range is not looked up day by day.
MAX_DAYS = 100


def row_of(entry: FeedEntry) -> SearchRow:
    """The row of a feed entry."""
    recorded = entry.recorded
    searchable = text_of(recorded.event.payload)
    return SearchRow(
        entry.project,
        entry.run_id,
        recorded.seq,
        entry.position,
        recorded.recorded_at,
        searchable,
        " ".join([*_filter_lexemes(entry), *_word_lexemes(searchable)]),
    )


def matching(project: str, where: SearchFilter, query: ParsedQuery) -> Matching:
    """What the rows must match that the filter selects and the query asks for, in one project."""
    filters = (
        quoted(f"=project:{project}"),
        either(f"=run:{each}" for each in where.run_ids),
        either(f"=type:{each}" for each in where.types),
        either(f"=node:{each}" for each in where.node_ids),
        *(quoted(f"=tag:{each}") for each in dict.fromkeys(where.tags)),
        quoted(f"=model:{where.model}") if where.model else "",
        quoted(f"=tool:{where.tool}") if where.tool else "",
        either(_days(where.recorded_from, where.recorded_before)),
    )
    conditions = (*query.conditions, *filter(None, filters))
    return Matching(conditions, query.tsquery, where.recorded_from, where.recorded_before)


def _filter_lexemes(entry: FeedEntry) -> Iterator[str]:
    event = entry.recorded.event
    yield _lexeme("project", entry.project)
    yield _lexeme("run", entry.run_id)
    yield _lexeme("type", event.type)
    yield _day_lexeme(entry.recorded.recorded_at.astimezone(UTC).date())
    yield from map(quoted, block_lexemes(entry.position))
    for name, value in (("node", event.node_id), ("model", event.model), ("tool", event.tool)):
        if value:
            yield _lexeme(name, value)
    for tag in dict.fromkeys(event.tags):
        yield _lexeme("tag", tag)


# Neighbouring events have much in common.
@lru_cache(maxsize=10_000)
def _lexeme(name: str, value: str) -> str:
    return quoted(f"={name}:{value}")


@lru_cache(maxsize=10)
def _day_lexeme(day: date) -> str:
    return quoted(f"=day:{day}")


def _word_lexemes(searchable: str) -> Iterable[str]:
    """The words with their numbers, as far as a tsvector can hold them."""
    keys = ascii_keys(searchable)
    return _any_lexemes(searchable) if keys is None or _is_long(keys) else _plain_lexemes(keys)


def _is_long(keys: Sequence[str]) -> bool:
    """Whether a tsvector may not hold all of the words' numbers."""
    if len(keys) <= MAX_NUMBERS_OF_WORD:
        return False
    return len(keys) > MAX_NUMBER or max(Counter(keys).values()) > MAX_NUMBERS_OF_WORD


def _plain_lexemes(keys: Iterable[str]) -> Iterable[str]:
    lexemes: dict[str, str] = {}
    find = lexemes.get
    for key, number in zip(keys, _NUMBERS, strict=False):
        before = find(key)
        lexemes[key] = f"{before},{number}" if before else f"{key}:{number}"
    lexemes.pop(BETWEEN_PARTS, None)
    return lexemes.values()


def _any_lexemes(searchable: str) -> Iterator[str]:
    numbers: dict[str, list[str]] = {}
    for word in words_of(searchable):
        of_word = numbers.setdefault(word.key, [])
        if word.number <= MAX_NUMBER and len(of_word) < MAX_NUMBERS_OF_WORD:
            of_word.append(str(word.number))
    for key, of_word in numbers.items():
        yield f"{quoted(key)}:{','.join(of_word)}" if of_word else quoted(key)


def _days(first: datetime | None, before: datetime | None) -> list[str]:
    """The days of a time range; none if it is open or long."""
    if first is None or before is None or not first < before:
        return []
    day, last = first.astimezone(UTC).date(), before.astimezone(UTC).date()
    if (last - day).days >= MAX_DAYS:
        return []
    return [f"=day:{day + timedelta(days=n)}" for n in range((last - day).days + 1)]
