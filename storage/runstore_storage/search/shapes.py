"""Payload shapes: which members of well-known JSON objects hold the text worth searching.

The table knows the messages of OpenAI's Chat Completions and Responses APIs, of Anthropic's
Messages API, of OpenTelemetry's conventions for generative AI and of the Model Context Protocol. An
object of one of these shapes is read by its row, wherever it stands in a payload: first the members
named there, then those that the shape does not know, so that what people add is found too. The
members of `NOT_TEXT` (ids, models, roles, finish reasons, signatures, encrypted or inline data, the
definitions of tools) are left out. Nothing else is interpreted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

# What known shapes hold beside text. Of the name of an attribute it is the last word that counts.
NOT_TEXT = frozenset(
    (
        "type",
        "role",
        "object",
        "model",
        "status",
        "id",
        "call_id",
        "tool_call_id",
        "tool_use_id",
        "item_id",
        "response_id",
        "previous_response_id",
        "jsonrpc",
        "index",
        "created",
        "temperature",
        "finish_reason",
        "finish_reasons",
        "stop_reason",
        "stop_sequence",
        "signature",
        "thought_signature",
        "encrypted_content",
        "data",
        "b64_json",
        "file_id",
        "file_data",
        "blob",
        "mimeType",
        "mime_type",
        "media_type",
        "system_fingerprint",
        "service_tier",
        "cache_control",
        "logprobs",
        "usage",
        "tools",
        "functions",
        "tool_choice",
        "response_format",
    )
)
# Parts of messages, and items of a response, by their `type`.
_PARTS: dict[str, tuple[str, ...]] = {
    # Texts of all of them.
    "text": ("text", "content"),
    "input_text": ("text",),
    "output_text": ("text",),
    "summary_text": ("text",),
    "reasoning_text": ("text",),
    "refusal": ("refusal",),
    "thinking": ("thinking",),
    "reasoning": ("summary", "content"),
    "message": ("content",),
    # Tool calls and their results.
    "tool_use": ("name", "input"),
    "server_tool_use": ("name", "input"),
    "mcp_tool_use": ("name", "input"),
    "tool_result": ("content",),
    "mcp_tool_result": ("content",),
    "web_search_tool_result": ("content",),
    "web_fetch_tool_result": ("content",),
    "web_search_result": ("title", "url"),
    "search_result": ("title", "source", "content"),
    "tool_call": ("name", "arguments"),
    "tool_call_response": ("response", "result"),
    "function": ("function",),
    "function_call": ("name", "arguments"),
    "function_call_output": ("output",),
    "custom": ("custom",),
    "custom_tool_call": ("name", "input"),
    "custom_tool_call_output": ("output",),
    "mcp_call": ("name", "arguments", "output", "error"),
    "web_search_call": ("action",),
    "file_search_call": ("queries", "results"),
    "code_interpreter_call": ("code", "outputs"),
    "local_shell_call": ("action",),
    "local_shell_call_output": ("output",),
    "shell_call": ("action",),
    "shell_call_output": ("output",),
    "apply_patch_call": ("operation",),
    "apply_patch_call_output": ("output",),
    "logs": ("logs",),
    "image_generation_call": ("revised_prompt",),
    # Documents.
    "document": ("title", "context", "source"),
    "resource": ("resource",),
    "resource_link": ("name", "title", "description", "uri"),
}
# Pictures, sounds and files are not text, but their names are.
_MEDIA = frozenset(
    (
        "image_url",
        "input_image",
        "image",
        "input_audio",
        "audio",
        "file",
        "input_file",
        "blob",
        "uri",
    )
)
_MEDIA_DATA = frozenset(
    (
        "image_url",
        "source",
        "input_audio",
        "data",
        "file",
        "file_id",
        "file_data",
        "blob",
        "uri",
        "modality",
    )
)
_MEDIA_TEXTS = ("name", "title", "filename", "transcript", "uri")


class _Row(NamedTuple):
    """How a shape is read: these members first, then all others but the skipped ones."""

    first: tuple[str, ...]
    names: frozenset[str]
    skipped: frozenset[str]


def _row(*first: str, without: frozenset[str] = frozenset()) -> _Row:
    return _Row(first, frozenset(first), NOT_TEXT.union(first, without))


_ROWS = {kind: _row(*first) for kind, first in _PARTS.items()}
_MEDIA_ROW = _row(*_MEDIA_TEXTS, without=_MEDIA_DATA)
_NOTHING = _row()
_MESSAGE = (
    "content",
    "parts",
    "reasoning_content",
    "reasoning",
    "refusal",
    "audio",
    "function_call",
    "tool_calls",
)
# A whole request or response, in the order in which people read it.
_ENVELOPE = (
    "system",
    "instructions",
    "prompt",
    "messages",
    "input",
    "output",
    "choices",
    "content",
    "output_text",
    "error",
)
_MESSAGE_ROW = _row(*_MESSAGE)
_ENVELOPE_ROW = _row(*_ENVELOPE)
_CHOICE_ROW = _row("message", "delta", "text")
_CALL_ROW = _row("name", "arguments")
_TOOL_RESULT_ROW = _row("content", "structuredContent")
_JSON_RPC_ROW = _row("method", "params", "result", "error")
_RESOURCE_ROW = _row("uri", "title", "name", "text")
# Attributes of OpenTelemetry's that name a system, an operation or a setting.
OTEL = "gen_ai."
OTEL_NOT_TEXT = frozenset(
    (
        "gen_ai.system",
        "gen_ai.provider.name",
        "gen_ai.operation.name",
        "gen_ai.tool.definitions",
        "gen_ai.request.encoding_formats",
    )
)
# Members whose value, if it is a string, may be JSON text; so may be all of OpenTelemetry's.
MAY_BE_JSON = frozenset(("arguments", "input", "output", "result", "response"))

Members = list[tuple[str, Any]]


def members(value: Mapping[str, Any]) -> Members:
    """The members of an object that hold text, in order; all members if its shape is unknown."""
    row = _row_of(value)
    if row is not None:
        found = [(name, value[name]) for name in row.first if name in value]
        if not row.skipped.issuperset(value):
            found += [each for each in value.items() if each[0] not in row.skipped]
        return found
    if _is_otlp_attribute(value):
        return [(value["key"], value["value"])] if _is_otel_text(value["key"]) else []
    return [
        (name, member)
        for name, member in value.items()
        if not name.startswith(OTEL) or _is_otel_text(name)
    ]


@lru_cache(maxsize=1024)
def _is_otel_text(name: str) -> bool:
    return name.rpartition(".")[2] not in NOT_TEXT and name not in OTEL_NOT_TEXT


def _row_of(value: Mapping[str, Any]) -> _Row | None:
    """The row of the first shape that the object fits."""
    kind = value.get("type")
    if isinstance(kind, str):
        row = _ROWS.get(kind)
        if row and not row.names.isdisjoint(value):
            return row
        if kind in _MEDIA and not _MEDIA_DATA.isdisjoint(value):
            return _MEDIA_ROW
        if kind == "redacted_thinking":
            return _NOTHING
    if "structuredContent" in value or (
        "isError" in value and isinstance(value.get("content"), list)
    ):
        return _TOOL_RESULT_ROW
    if isinstance(value.get("role"), str) and not _MESSAGE_ROW.names.isdisjoint(value):
        return _MESSAGE_ROW
    if _is_envelope(value):
        return _ENVELOPE_ROW
    if "jsonrpc" in value:
        return _JSON_RPC_ROW
    return _row_inside(value)


def _row_inside(value: Mapping[str, Any]) -> _Row | None:
    """The row of an object that has no type and stands inside another."""
    if "index" in value and any(isinstance(value.get(name), dict) for name in ("message", "delta")):
        return _CHOICE_ROW
    if isinstance(value.get("arguments"), str) and isinstance(value.get("name"), str):
        return _CALL_ROW
    if isinstance(value.get("uri"), str) and ("text" in value or "blob" in value):
        return _RESOURCE_ROW
    return None


def _is_envelope(value: Mapping[str, Any]) -> bool:
    if value.get("object") in {"response", "chat.completion", "chat.completion.chunk"}:
        return True
    has_model = isinstance(value.get("model"), str)
    return has_model and any(name in value for name in ("messages", "choices", "input"))


def _is_otlp_attribute(value: Mapping[str, Any]) -> bool:
    key = value.get("key")
    return isinstance(key, str) and key.startswith(OTEL) and "value" in value
