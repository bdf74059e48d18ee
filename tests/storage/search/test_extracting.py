"""The searchable text of a payload: samples of each known shape, and unexpected payloads."""

import base64
import json

import pytest
from runstore_storage.contract.payloads import Payload
from runstore_storage.search.extracting import MAX_PARSED, MAX_TEXT_BYTES, text_of

BLOB = base64.b64encode(bytes(range(256)) * 20).decode()

SAMPLES: dict[str, tuple[object, list[str]]] = {
    "a chat request": (
        {
            "model": "gpt-4.1",
            "temperature": 0.2,
            "messages": [
                {"role": "system", "content": "You are terse."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is on this picture?"},
                        {
                            "type": "image_url",
                            "image_url": {"url": f"data:image/png;base64,{BLOB}"},
                        },
                    ],
                },
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_9",
                            "type": "function",
                            "function": {"name": "look", "arguments": '{"where":"M\\u00fcnchen"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_9", "content": "a harbour"},
            ],
            "tools": [{"type": "function", "function": {"name": "look", "description": "unseen"}}],
        },
        ["You are terse.", "What is on this picture?", "look", "München", "a harbour"],
    ),
    "a chat completion": (
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "gpt-4.1",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "It rains.", "refusal": None},
                    "finish_reason": "stop",
                }
            ],
        },
        ["It rains."],
    ),
    "a chunk of a chat completion": (
        {
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": {"content": "It ra"}, "finish_reason": None}],
        },
        ["It ra"],
    ),
    "a request of the Responses API": (
        {
            "model": "gpt-5",
            "instructions": "Be kind.",
            "input": [
                {"type": "message", "role": "user", "content": "Find flights"},
                {
                    "type": "function_call_output",
                    "call_id": "call_1",
                    "output": '{"flights":["LH 400"]}',
                },
            ],
        },
        ["Be kind.", "Find flights", "LH 400"],
    ),
    "a response": (
        {
            "id": "resp_1",
            "object": "response",
            "model": "gpt-5",
            "status": "completed",
            "output": [
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "encrypted_content": "gAAA",
                    "summary": [{"type": "summary_text", "text": "Thinking of planes"}],
                },
                {
                    "type": "function_call",
                    "call_id": "call_1",
                    "name": "book",
                    "arguments": '{"seat":"window"}',
                },
                {"type": "web_search_call", "id": "ws", "action": {"query": "cheap hotels"}},
                {
                    "type": "code_interpreter_call",
                    "code": "1/0",
                    "outputs": [{"type": "logs", "logs": "ZeroDivisionError"}],
                },
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Booked.", "annotations": []}],
                },
            ],
        },
        [
            "Thinking of planes",
            "book",
            "window",
            "cheap hotels",
            "1/0",
            "ZeroDivisionError",
            "Booked.",
        ],
    ),
    "Anthropic messages": (
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "stop_reason": "tool_use",
            "content": [
                {"type": "thinking", "thinking": "They want weather", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "EmwK"},
                {"type": "text", "text": "I will look."},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
            ],
        },
        ["They want weather", "I will look.", "weather", "Oslo"],
    ),
    "an Anthropic tool result": (
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "snow"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": BLOB},
                        },
                    ],
                },
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "wind"},
            ],
        },
        ["snow", "wind"],
    ),
    "OpenTelemetry attributes": (
        {
            "gen_ai.request.model": "gpt-4",
            "gen_ai.system_instructions": [{"type": "text", "content": "Be brief"}],
            "gen_ai.input.messages": json.dumps(
                [{"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]}]
            ),
            "gen_ai.output.messages": [
                {
                    "role": "assistant",
                    "parts": [
                        {
                            "type": "tool_call",
                            "id": "c",
                            "name": "get_weather",
                            "arguments": {"city": "Paris"},
                        },
                        {"type": "tool_call_response", "id": "c", "response": "57F rainy"},
                        {"type": "blob", "modality": "image", "mime_type": "i/p", "content": BLOB},
                    ],
                    "finish_reason": "stop",
                }
            ],
        },
        ["Be brief", "Weather in Paris?", "get_weather", "Paris", "57F rainy"],
    ),
    "an OTLP attribute": (
        [
            {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4"}},
            {
                "key": "gen_ai.tool.call.result",
                "value": {"stringValue": '[{"type":"text","content":"nineteen"}]'},
            },
        ],
        ["nineteen"],
    ),
    "an older OpenTelemetry event body": (
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}},
        ["Hello"],
    ),
    "an MCP tool result": (
        {
            "jsonrpc": "2.0",
            "id": "req-1",
            "result": {
                "content": [
                    {"type": "text", "text": "three issues"},
                    {
                        "type": "resource",
                        "resource": {
                            "uri": "file:///notes.md",
                            "mimeType": "text/markdown",
                            "text": "remember milk",
                        },
                    },
                    {
                        "type": "resource_link",
                        "uri": "file:///a.rs",
                        "name": "main",
                        "mimeType": "t",
                    },
                    {"type": "image", "data": BLOB, "mimeType": "image/png"},
                ],
                "structuredContent": {"total": 3, "titles": ["crash", "leak"]},
                "isError": False,
            },
        },
        [
            "three issues",
            "file:///notes.md",
            "remember milk",
            "main",
            "file:///a.rs",
            "crash",
            "leak",
        ],
    ),
    "something of one's own": (
        {"step": 3, "note": "retry later", "inner": [{"why": "timeout"}, True, None, 1.5]},
        ["retry later", "timeout"],
    ),
    "a message inside something of one's own": (
        {"attempt": "second", "request": {"role": "user", "content": "hi", "id": "u1"}},
        ["second", "hi"],
    ),
    "objects that only look like parts": (
        [{"type": "file", "path": "a.txt"}, {"type": "text"}, {"isError": True, "message": "boom"}],
        ["file", "a.txt", "text", "boom"],
    ),
    "a string": ("just text", ["just text"]),
    "no text": ([1, None, {}], []),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_known_shapes_give_the_text_worth_searching(name: str) -> None:
    sample, expected = SAMPLES[name]

    assert text_of(Payload(json.dumps(sample))).split("\n") == (expected or [""])


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (None, ""),
        (Payload(b"\x00\x01binary", "application/msgpack"), ""),
        (Payload(b"plain\r\n\ttext \xff", "text/plain; charset=utf-8"), "plain text \ufffd"),
        (Payload(b"<b>hi</b>", "TEXT/HTML"), "<b>hi</b>"),
        (Payload('"a\\u0000b\\ud800c"'), "a b c"),
        (Payload('{"a":"one","a":"two","b":"three"}'), "one\ntwo\nthree"),
        (Payload('["' + "7" * 5000 + '", ' + "9" * 5000 + "]"), ""),
        (Payload(json.dumps(f"see data:image/png;base64,{BLOB} there")), "see there"),
        (Payload(json.dumps("metadata:x, data: y")), "metadata:x, data: y"),
        (Payload("not json"), ""),
        (Payload(json.dumps("ﬁne \uff11\uff12 Å")), "fine 12 Å"),
    ],
)
def test_a_payload_gives_clean_text(payload: Payload | None, expected: str) -> None:
    assert text_of(payload) == expected


def test_text_is_bounded_and_keeps_its_beginning() -> None:
    text = text_of(Payload(json.dumps(["first " + "wörd " * 3_000_000, "last"])))

    assert text.startswith("first wörd")
    assert len(text.encode()) <= MAX_TEXT_BYTES


def test_a_text_that_takes_long_to_parse_gives_the_strings_at_its_beginning() -> None:
    text = '{"role": "user", "content": "caf\\u00e9", "more": [' + "[]," * MAX_PARSED + '"end"]}'

    assert text_of(Payload(text)) == "user\ncafé\nend"


def test_deep_nesting_does_not_fail() -> None:
    assert text_of(Payload("[" * 500 + '"deep"' + "]" * 500)) == "deep"
    assert text_of(Payload("[" * 100_000 + "]" * 100_000)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "a" + "\u0301\u0327" * 100_000,
        "\ufdfa" * 200_000,
        "data:" + "a" * 300_000,
        "data:a/b;" * 40_000,
        ("x" * 511 + " ") * 600,
        "data:a/b," * 40_000,
    ],
)
def test_no_string_takes_long(text: str) -> None:
    payload = Payload(json.dumps(text))

    assert len(text_of(payload)) <= MAX_TEXT_BYTES
