"""Searches."""

from __future__ import annotations

from typing import Any

from runstore_storage.search.queries import parse

from runstore_server.validation.bounds import (
    ID,
    MAX_INT64,
    PAGED,
    PROJECT,
    REQUIRED_ID,
    SEQ,
    TAGS,
    WAIT,
    Integer,
    Text,
)
from runstore_server.validation.rules import Found, MessageRules, Rules, report


def _query(message: Any, path: str, found: Found) -> None:
    if message.query and (problem := parse(message.query).problem):
        report(found, path + "query", problem)


RULES: Rules = {
    "SearchFilter": MessageRules(
        {
            "run_ids": TAGS,
            "types": TAGS,
            "node_ids": TAGS,
            "model": ID,
            "tool": ID,
            "tags": TAGS,
        }
    ),
    "EventPlace": MessageRules({"run_id": REQUIRED_ID, "seq": Integer(1, MAX_INT64)}),
    "SearchEventsRequest": MessageRules(
        PAGED | {"project": PROJECT, "query": Text(1, 1000), "min_position": SEQ, "wait": WAIT},
        checks=(_query,),
    ),
}
