"""Subjects hold any text, and give it back."""

from __future__ import annotations

import pytest
from entries import entry
from hypothesis import given
from hypothesis import strategies as st
from runstore_server.sinks.subjects import covers, subject_of, text_of, token_of
from runstore_storage.contract.events import Event

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@given(TEXTS)
def test_a_token_gives_its_text_back(text: str) -> None:
    assert text_of(token_of(text)) == text


@given(TEXTS)
def test_a_token_holds_nothing_that_nats_forbids(text: str) -> None:
    token = token_of(text)

    assert token
    assert token.isprintable()
    assert not set(token) & set(" .*>")


def test_readable_texts_stay_readable() -> None:
    event = Event(type="tool.called")

    assert (
        subject_of("runstore", entry(project="acme/eu", run_id="Lauf 7 é%", event=event))
        == "runstore.acme/eu.Lauf%207%20é%25.tool%2Ecalled"
    )


@pytest.mark.parametrize("wide", [">", "a.>", "a.b.>", "a.b.*.*.*", "*.b.*.*.*", "a.*.>"])
def test_a_stream_that_stores_all_our_subjects_covers_them(wide: str) -> None:
    assert covers(wide, "a.b.*.*.*")


@pytest.mark.parametrize("wide", ["b.>", "a.b", "a.b.*.*", "a.b.c.>", "a.b.*.*.*.*", "a.b.*.*.*.>"])
def test_a_stream_that_stores_other_or_fewer_subjects_does_not(wide: str) -> None:
    assert not covers(wide, "a.b.*.*.*")
