"""Runs as a whole, and how they are listed."""

from __future__ import annotations

from typing import Literal

from runstore_server.validation.bounds import (
    ID,
    LABELS,
    LONG_PAGE,
    NAMESPACE,
    OF_RUN,
    PAGED,
    PROJECT,
    REQUIRED_ID,
    SEQ,
    STATUSES,
    TAGS,
    Integer,
    Items,
    Text,
)
from runstore_server.validation.checks import no_refs
from runstore_server.validation.rules import MessageRules, Rules

RunOrderName = Literal[
    "created_desc",
    "created_asc",
    "updated_desc",
    "updated_asc",
    "completed_desc",
    "completed_asc",
]
"""The orders of ListRuns as HTTP and the command line spell them."""

OBJECTIVE = Text(0, 100_000)
OBJECTIVE_WORDS = Text(0, 1000)
EXTERNAL_ID = Text(0, 1000)
CONFIG_REFS = Items(0, 1000)
CHECKED_EVENTS = Integer(0, 1_000_000)

RULES: Rules = {
    "ExternalRef": MessageRules(
        {"system": REQUIRED_ID, "id": Text(1, EXTERNAL_ID.high), "url": Text(0, 2000)}
    ),
    "RunFilter": MessageRules(
        {
            "statuses": STATUSES,
            "tags": TAGS,
            "labels": LABELS,
            "plan_id": ID,
            "model": ID,
            "tool": ID,
            "parent_run_id": ID,
            "any_tags": TAGS,
            "root_run_id": ID,
            "objective": OBJECTIVE_WORDS,
        }
    ),
    "ExternalFilter": MessageRules({"system": REQUIRED_ID, "id": EXTERNAL_ID}),
    "ConfigFilter": MessageRules(
        {"kind": REQUIRED_ID, "name": REQUIRED_ID, "version": SEQ, "digest": ID}
    ),
    "SaveRunRequest": MessageRules(
        {
            "project": PROJECT,
            "run_id": ID,
            "plan_id": ID,
            "objective": OBJECTIVE,
            "parent_run_id": ID,
            "config_refs": CONFIG_REFS,
            "tags": TAGS,
            "labels": LABELS,
            "subjects": TAGS,
        },
        checks=(no_refs("plan"),),
    ),
    "GetRunRequest": MessageRules(OF_RUN),
    "ListRunsRequest": MessageRules({"project": PROJECT} | PAGED),
    "ResumeRunRequest": MessageRules(
        OF_RUN
        | {
            "namespace": NAMESPACE,
            "request_id": ID,
            "actor": ID,
            "page_size": LONG_PAGE,
            "expected_seq": SEQ,
        }
    ),
    "VerifyRunRequest": MessageRules(OF_RUN | {"from_seq": SEQ, "max_events": CHECKED_EVENTS}),
    "ReplayRunRequest": MessageRules(
        OF_RUN | {"at_seq": SEQ, "namespace": NAMESPACE, "page_size": LONG_PAGE}
    ),
    "ForkRunRequest": MessageRules(
        OF_RUN
        | {
            "at_seq": SEQ,
            "fork_run_id": ID,
            "objective": OBJECTIVE,
            "config_refs": CONFIG_REFS,
            "tags": TAGS,
            "labels": LABELS,
        }
    ),
}
