"""What people see in a payload is found, also where a known shape does not expect it."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runstore_storage.contract.payloads import Payload
from runstore_storage.search import shapes
from runstore_storage.search.extracting import text_of

VENDORS: dict[str, object] = {
    "a completion by its number": {"attributes": {"gen_ai.completion.0.content": "zebra"}},
    "an output as one attribute": {"attributes": {"gen_ai.output": "zebra"}},
    "arguments as JSON text": {"attributes": {"gen_ai.tool.args": '{"q":"zebra"}'}},
    "an OTLP attribute": [{"key": "gen_ai.output", "value": {"stringValue": '{"a":"zebra"}'}}],
    "a thought beside a message": {"role": "assistant", "content": "ok", "thought": "zebra"},
    "an action beside a message": {"role": "assistant", "content": "ok", "action": "zebra"},
    "an error beside a message": {"role": "tool", "content": "", "error": "zebra"},
    "an error beside an answer": {"type": "text", "text": "hi", "error": {"message": "zebra"}},
    "the name of a function": {"role": "function", "name": "zebra", "content": "42"},
    "the title of an annotation": {
        "type": "output_text",
        "text": "see",
        "annotations": [{"type": "url_citation", "title": "zebra"}],
    },
    "an error of a response": {"object": "response", "incomplete_details": {"reason": "zebra"}},
    "a caption of a picture": {"type": "image", "source": {"data": "x"}, "caption": "zebra"},
    "more of a result": {"content": [], "structuredContent": {}, "_meta": {"note": "zebra"}},
}
HIDDEN: dict[str, object] = {
    "a model": {"gen_ai.request.model": "zebra"},
    "a system": {"gen_ai.system": "zebra"},
    "an id": {"role": "user", "content": "hi", "id": "zebra"},
    "a role by its number": {"gen_ai.prompt.0.role": "zebra"},
    "a reason": {"gen_ai.response.finish_reasons": ["zebra"]},
    "a signature": {"type": "thinking", "thinking": "hm", "signature": "zebra"},
    "encrypted data": {"type": "redacted_thinking", "data": "zebra"},
    "inline data": {"type": "image", "source": {"data": "zebra"}},
    "a definition of a tool": {"model": "m", "messages": [], "tools": [{"name": "zebra"}]},
}


@pytest.mark.parametrize("name", VENDORS)
def test_text_that_vendors_add_is_found(name: str) -> None:
    assert "zebra" in text_of(Payload(json.dumps(VENDORS[name])))


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_not_text_is_not_found(name: str) -> None:
    assert "zebra" not in text_of(Payload(json.dumps(HIDDEN[name])))


# What an object may hold so that it has a known shape; the value of a member is filled in.
HEADS: list[dict[str, Any]] = [
    *({"type": kind} for kind in [*shapes._PARTS, *shapes._MEDIA]),
    {"role": "assistant"},
    {"model": "m"},
    {"object": "response"},
    {"object": "chat.completion"},
    {"jsonrpc": "2.0"},
    {"index": 0},
    {"isError": False},
    {},
]
NAMES = sorted(
    {name for fields in shapes._PARTS.values() for name in fields}
    | {*shapes._MESSAGE, *shapes._ENVELOPE, "message", "delta", "params", "structuredContent"}
    | {"thought", "action", "annotations", "title", "gen_ai.output", "gen_ai.prompt.0.content"}
    | {"key", "value", "error", "note", "zebra"}
)
TEXT = object()


def without_media(head: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """The members that may hold text: a picture's data is none."""
    is_media = head.get("type") in shapes._MEDIA
    return {k: v for k, v in more.items() if not (is_media and k in shapes._MEDIA_DATA)}


SEEN = st.recursive(
    st.just(TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.builds(
            lambda head, more: {**head, **without_media(head, more)},
            st.sampled_from(HEADS),
            st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
        ),
    ),
    max_leaves=12,
)


def filled(value: Any, words: count[int]) -> Any:
    """The value with a word of its own for each text."""
    if value is TEXT:
        return f"w{next(words)}"
    if isinstance(value, list):
        return [filled(each, words) for each in value]
    if isinstance(value, dict):
        return {name: filled(each, words) for name, each in value.items()}
    return value


@given(SEEN)
def test_every_text_in_any_mixture_of_shapes_is_found(seen: Any) -> None:
    words = count()
    payload = Payload(json.dumps(filled(seen, words)))

    found = text_of(payload).split()

    assert {f"w{number}" for number in range(next(words))} <= set(found)
