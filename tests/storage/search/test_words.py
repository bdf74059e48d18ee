"""Words, queries, windows and snippets: the parts of search that need no database."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runstore_storage.search.queries import parse
from runstore_storage.search.snippets import SNIPPET_CHARACTERS, snippet_of
from runstore_storage.search.windows import BLOCK_BITS, block_lexemes, next_window
from runstore_storage.search.words import BETWEEN_PARTS, MAX_WORD, ascii_keys, cleaned, words_of

MAX_LEXEME_BYTES = 2046


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("The quick_brown FOX's", ["the", "quick", "brown", "fox", "s"]),
        ("src/app.py:12", ["src", "app", "py", "12"]),
        ("Straße ΣΊΣΥΦΟΣ", ["strasse", "σίσυφοσ"]),
        ("東京都", ["東京", "京都", "都"]),
        ("GPT東京v2", ["gpt", "東京", "京", "v2"]),
        ("한국어 ไทย", ["한국", "국어", "어", "ไท", "ทย", "ย"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("cafe\u0301 naïve", ["café", "naïve"]),
        ("ok 👍🏽 done✅", ["ok", "👍", "🏽", "done", "✅"]),
        ("x" * 300 + " y", ["y"]),
        ("'; DROP TABLE--", ["drop", "table"]),
        ("", []),
    ],
)
def test_a_text_is_cut_into_words(text: str, keys: list[str]) -> None:
    assert [word.key for word in words_of(cleaned(text))] == keys


ASCII = st.text(st.characters(max_codepoint=127), max_size=400)


@given(ASCII)
def test_plain_texts_are_cleaned_and_cut_as_all_are(text: str) -> None:
    part = cleaned(text)

    assert cleaned(f"{text} é") == f"{part} é".strip()
    for whole in (part, f"{part}\n{part}", f"{part} {'x' * MAX_WORD} end"):
        numbered = [
            (key, number)
            for number, key in enumerate(ascii_keys(whole) or [], 1)
            if key != BETWEEN_PARTS
        ]
        assert numbered == [(word.key, word.number) for word in words_of(whole)]


@pytest.mark.parametrize("text", ["é", "x" * (MAX_WORD + 1)])
def test_a_text_of_other_words_is_not_plain(text: str) -> None:
    assert ascii_keys(text) is None


def test_words_of_different_parts_are_not_neighbours() -> None:
    assert [(word.key, word.number) for word in words_of("a b\nc")] == [
        ("a", 1),
        ("b", 2),
        ("c", 4),
    ]


def test_no_word_is_too_long_for_a_lexeme() -> None:
    longest = max(len(chr(code).casefold().encode(errors="ignore")) for code in range(0x10FFFF))

    assert longest * MAX_WORD <= MAX_LEXEME_BYTES


@pytest.mark.parametrize(
    ("query", "tsquery"),
    [
        ("cat", "(('cat'))"),
        ("Cat dog", "(('cat') & ('dog'))"),
        ('"cat dog"', "(('cat' <1> 'dog'))"),
        ('"cat dog', "(('cat' <1> 'dog'))"),
        ("app.py", "(('app' <1> 'py'))"),
        ("cat or dog -fish", "(('cat')) | (('dog') & !('fish'))"),
        ('cat -"big dog"', "(('cat') & !('big' <1> 'dog'))"),
        ("東京都", "(('東京' <1> '京都'))"),
        ("京", "(('京':*))"),
        ("or cat or", "(('cat'))"),
        ("a' & | ! (b <-> c):* \\", "(('a') & ('b') & ('c'))"),
    ],
)
def test_a_query_becomes_a_tsquery(query: str, tsquery: str) -> None:
    assert parse(query).tsquery == tsquery


@pytest.mark.parametrize("query", ["", " ", "-", '""', "&|!", "-cat", "cat or -dog", "or"])
def test_a_query_without_a_word_to_look_for_says_so(query: str) -> None:
    parsed = parse(query)

    assert parsed.problem
    assert parsed.tsquery == ""


@given(st.integers(1, 1 << 33), st.integers(0, 10_000), st.integers(1, 1000))
def test_windows_cover_all_positions_once(last: int, density: int, wanted: int) -> None:
    below, count = last + 1, 0
    while below > 1:
        scanned = last + 1 - below
        window = next_window(
            below, scanned=scanned, found=min(scanned * density // 10_000, 999), wanted=wanted
        )
        assert window.start < below <= (window.last_block + 1) << BLOCK_BITS[window.level]
        assert len(window.lexemes) <= 8
        for position in (below - 1, max(window.start, 1)):
            assert not set(window.lexemes).isdisjoint(block_lexemes(position))
        assert window.start == 0 or set(window.lexemes).isdisjoint(block_lexemes(window.start - 1))
        below, count = window.start, count + 1
        if count == 500:
            break


def marked(text: str, query: str) -> str:
    snippet = snippet_of(cleaned(text), parse(query).terms)
    shown = snippet.text
    for start, length in reversed(snippet.highlights):
        shown = shown[:start] + "[" + shown[start : start + length] + "]" + shown[start + length :]
    return shown


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("The Cat sat", "cat", "The [Cat] sat"),
        ("big dog, dog big", '"big dog"', "[big dog], dog big"),
        ("see src/app.py now", "src/app.py", "see [src/app.py] now"),
        ("私は東京都に住む", "東京都", "私は[東京都]に住む"),
        ("東京と京都", "京", "東[京]と[京]都"),
        ("a b c", "a or b", "[a] [b] c"),
        ("👩‍💻 works", "💻", "👩‍[💻] works"),
        ("STRASSE", "straße", "[STRASSE]"),
        ("nothing here", "cat", "nothing here"),
    ],
)
def test_a_snippet_highlights_the_matches(text: str, query: str, expected: str) -> None:
    assert marked(text, query) == expected


@pytest.mark.parametrize("before", ["word " * 9000, "ß" * 200 + " ", "字" * 9000])
def test_a_snippet_shows_a_match_far_inside(before: str) -> None:
    shown = marked(before + "needle" + " after" * 1000, "needle")

    assert "[needle]" in shown
    assert shown.endswith("…")
    assert len(shown) <= SNIPPET_CHARACTERS + 4


@given(st.text(max_size=600), st.text(min_size=1, max_size=50))
def test_highlights_lie_in_the_snippet_without_overlap(text: str, query: str) -> None:
    snippet = snippet_of(cleaned(text), parse(query + text[:20]).terms)

    end = -1
    for start, length in snippet.highlights:
        assert start > end
        assert length > 0
        end = start + length
    assert end <= len(snippet.text)


def test_every_character_is_cut_without_failing() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))

    text = cleaned(everything)

    assert text.encode()
    assert all(text[word.start : word.end] for word in words_of(text))
