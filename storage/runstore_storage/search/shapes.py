"""Payload shapes: which members of well-known JSON objects hold the text worth searching.

The table knows the messages of OpenAI's Chat Completions and Responses APIs, of Anthropic's
Messages API, of OpenTelemetry's conventions for generative AI and of the Model Context Protocol. An
object of one of these shapes is read by its row, wherever it stands in a payload; its other members
(ids, models, roles, finish reasons, signatures, encrypted or inline data) are not text. Nothing
else is interpreted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
_CHOICE = ("message", "delta", "text")
_TOOL_RESULT = ("content", "structuredContent")
_JSON_RPC = ("method", "params", "result", "error")
_RESOURCE = ("uri", "title", "name", "text")
_OTEL_TEXTS = frozenset(
    (
        "gen_ai.system_instructions",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.prompt",
        "gen_ai.completion",
        "gen_ai.tool.name",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
    )
)
# Members whose value, if it is a string, may be JSON text.
MAY_BE_JSON = frozenset(("arguments", "input", "output", "result", "response")) | _OTEL_TEXTS

Members = list[tuple[str, Any]]


def members(value: Mapping[str, Any]) -> Members:
    """The members of an object that hold text, in order; all members if its shape is unknown."""
    wanted = _wanted(value)
    if wanted is not None:
        return [(name, value[name]) for name in wanted if name in value]
    if _is_otlp_attribute(value):
        return [(value["key"], value["value"])] if value["key"] in _OTEL_TEXTS else []
    return [
        (name, member)
        for name, member in value.items()
        if not name.startswith("gen_ai.") or name in _OTEL_TEXTS
    ]


def _wanted(value: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The row of the first shape that the object fits."""
    kind = value.get("type")
    if isinstance(kind, str):
        fields = _PARTS.get(kind)
        if fields and any(name in value for name in fields):
            return fields
        if kind in _MEDIA and not _MEDIA_DATA.isdisjoint(value):
            return _MEDIA_TEXTS
        if kind == "redacted_thinking":
            return ()
    if "structuredContent" in value or (
        "isError" in value and isinstance(value.get("content"), list)
    ):
        return _TOOL_RESULT
    if isinstance(value.get("role"), str) and any(name in value for name in _MESSAGE):
        return _MESSAGE
    if _is_envelope(value):
        return _ENVELOPE
    if "jsonrpc" in value:
        return _JSON_RPC
    return _wanted_inside(value)


def _wanted_inside(value: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The row of an object that has no type and stands inside another."""
    if "index" in value and any(isinstance(value.get(name), dict) for name in ("message", "delta")):
        return _CHOICE
    if isinstance(value.get("arguments"), str) and isinstance(value.get("name"), str):
        return ("name", "arguments")
    if isinstance(value.get("uri"), str) and ("text" in value or "blob" in value):
        return _RESOURCE
    return None


def _is_envelope(value: Mapping[str, Any]) -> bool:
    if value.get("object") in {"response", "chat.completion", "chat.completion.chunk"}:
        return True
    has_model = isinstance(value.get("model"), str)
    return has_model and any(name in value for name in ("messages", "choices", "input"))


def _is_otlp_attribute(value: Mapping[str, Any]) -> bool:
    key = value.get("key")
    return isinstance(key, str) and key.startswith("gen_ai.") and "value" in value
