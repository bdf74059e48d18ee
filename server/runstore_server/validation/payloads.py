"""Payloads."""

from __future__ import annotations

from typing import Any

from runstore_server.validation.bounds import ID
from runstore_server.validation.checks import SHA256_BYTES
from runstore_server.validation.json_texts import json_problem
from runstore_server.validation.rules import Found, MessageRules, Rules, report


def _payload(message: Any, path: str, found: Found) -> None:
    kind = message.WhichOneof("content")
    if kind is None:
        report(found, path.removesuffix("."), "must have content: json or binary")
    elif kind == "ref" and len(message.ref) != SHA256_BYTES:
        report(found, path + "ref", f"must have {SHA256_BYTES} bytes, has {len(message.ref)}")
    elif kind == "json" and (problem := json_problem(message.json)):
        report(found, path + "json", problem)


RULES: Rules = {"Payload": MessageRules({"content_type": ID}, checks=(_payload,))}
