"""Statistics."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from typing import Any

from runstore.v1.statistics_pb2 import STATISTICS_DIMENSION_RUN

from runstore_server.validation.bounds import (
    ID,
    LABELS,
    LONG_PAGE,
    PROJECT,
    SEQ,
    TAGS,
    WAIT,
    Items,
    Text,
)
from runstore_server.validation.rules import Found, MessageRules, Rules, report

MAX_DIMENSIONS = 3
DAY = Text(0, 10)
DIMENSIONS = Items(0, MAX_DIMENSIONS)
# A page begins after a row, which is named by the values of all its dimensions.
STATISTICS_TOKEN = Text(0, 10_000)


def _days(message: Any, path: str, found: Found) -> None:
    for name in ("from_day", "to_day"):
        if not _is_day(getattr(message, name)):
            report(found, path + name, "must be a day in the form YYYY-MM-DD")


def _is_day(text: str) -> bool:
    with suppress(ValueError):
        return not text or date.fromisoformat(text).isoformat() == text
    return False


def _dimensions(message: Any, path: str, found: Found) -> None:
    if len(set(message.group_by)) < len(message.group_by):
        report(found, path + "group_by", "repeats a dimension")
    if message.label_key and len(message.group_by) >= MAX_DIMENSIONS:
        report(found, path + "label_key", f"would be dimension {MAX_DIMENSIONS + 1}")
    if message.include_descendants and not message.filter.run_ids:
        report(found, path + "include_descendants", "requires filter.run_ids")
    if message.roll_up_to_root and STATISTICS_DIMENSION_RUN not in message.group_by:
        report(found, path + "roll_up_to_root", "requires RUN in group_by")


RULES: Rules = {
    "StatisticsFilter": MessageRules(
        {
            "run_ids": TAGS,
            "plan_id": ID,
            "labels": LABELS,
            "tags": TAGS,
            "types": TAGS,
            "models": TAGS,
            "tools": TAGS,
            "node_ids": TAGS,
            "from_day": DAY,
            "to_day": DAY,
        },
        checks=(_days,),
    ),
    "GetStatisticsRequest": MessageRules(
        {
            "project": PROJECT,
            "group_by": DIMENSIONS,
            "label_key": ID,
            "page_size": LONG_PAGE,
            "page_token": STATISTICS_TOKEN,
            "min_position": SEQ,
            "wait": WAIT,
        },
        checks=(_dimensions,),
    ),
}
