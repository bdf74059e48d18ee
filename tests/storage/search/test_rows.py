"""A search row holds the words of its text, and what it is filtered by, however it is made."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runstore_storage.contract.events import Event, RecordedEvent
from runstore_storage.contract.feed import FeedEntry
from runstore_storage.contract.payloads import Payload
from runstore_storage.search.queries import quoted
from runstore_storage.search.rows import MAX_NUMBER, MAX_NUMBERS_OF_WORD, row_of
from runstore_storage.search.windows import block_lexemes
from runstore_storage.search.words import cleaned, words_of

EAST = timezone(timedelta(hours=9))
WORDS = st.sampled_from(["a", "B", "b2", "it's", "x" * 256, "\n", "\x00", "  ", "é", "東京", "-"])
TEXTS = st.lists(WORDS, max_size=30).map(" ".join) | st.text(max_size=60)


def entry(text: str, position: int = 1, **fields: object) -> FeedEntry:
    event = Event(**{"type": "t", "payload": Payload(text.encode(), "text/plain")} | fields)  # type: ignore[arg-type]
    at = datetime(2026, 11, 26, 1, tzinfo=EAST)
    return FeedEntry(position, "acme/o'search", "run", {}, at, RecordedEvent(7, at, b"h", event))


def words_in(tsv: str) -> list[str]:
    """The lexemes with numbers; those without are the filters' and words' beyond the limits.

    A plain word may do without quotes.
    """
    found = re.findall(r"('(?:[^']|'')*'|[a-z0-9]+)((?::[\d,]+)?)", tsv)
    return [quoted(word.strip("'")) + numbers for word, numbers in found if "'=" not in word]


def numbered(text: str) -> list[str]:
    """The lexemes of a text, made of its words one by one."""
    numbers: dict[str, list[int]] = {}
    for word in words_of(cleaned(text.encode(errors="replace").decode())):
        of_word = numbers.setdefault(word.key, [])
        if word.number <= MAX_NUMBER and len(of_word) < MAX_NUMBERS_OF_WORD:
            of_word.append(word.number)
    return [
        quoted(key) + (f":{','.join(map(str, of_word))}" if of_word else "")
        for key, of_word in numbers.items()
    ]


@given(TEXTS)
def test_the_words_of_a_text_have_their_numbers(text: str) -> None:
    assert words_in(row_of(entry(text)).tsv) == numbered(text)


LONG = {
    "one word too often": "word " * (MAX_NUMBERS_OF_WORD + 1),
    "many words": " ".join(f"w{number}" for number in range(MAX_NUMBERS_OF_WORD + 1)),
    "words beyond the last number": " ".join(f"{n % 100}" for n in range(MAX_NUMBER + 2)),
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_a_long_text_has_the_numbers_that_a_tsvector_can_hold(text: str) -> None:
    assert words_in(row_of(entry(text)).tsv) == numbered(text)


def test_what_a_row_is_filtered_by_is_in_it() -> None:
    fields = {"node_id": "n'1", "model": "m", "tool": "t\\", "tags": ("a", "b", "a")}
    for position in (1, 8191, 8192, 2**35):
        row = row_of(entry("", position, **fields))

        wanted = [
            "=project:acme/o'search",
            "=run:run",
            "=type:t",
            "=day:2026-11-25",
            *block_lexemes(position),
            "=node:n'1",
            "=model:m",
            "=tool:t\\",
            "=tag:a",
            "=tag:b",
        ]
        assert row.tsv == " ".join(map(quoted, wanted))
