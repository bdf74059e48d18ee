"""Timestamps."""

from __future__ import annotations

from typing import Any

from runstore_server.validation.rules import Found, MessageRules, Rules, report

# Years 1 to 9999, which google.protobuf.Timestamp is defined for.
MIN_TIMESTAMP, MAX_TIMESTAMP = -62_135_596_800, 253_402_300_799
NANOS = 1_000_000_000


def _timestamp(message: Any, path: str, found: Found) -> None:
    if not (MIN_TIMESTAMP <= message.seconds <= MAX_TIMESTAMP and 0 <= message.nanos < NANOS):
        report(found, path.removesuffix("."), "is not a valid time")


RULES: Rules = {"Timestamp": MessageRules(checks=(_timestamp,))}
