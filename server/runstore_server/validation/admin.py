"""Grants, tokens, limits, holds, removals and archives."""

from __future__ import annotations

from typing import Any

from runstore.v1.admin_pb2 import ROLE_OPERATOR, ROLE_UNSPECIFIED
from runstore_storage.contract.access import ALL_PROJECTS, BELOW

from runstore_server.validation.bounds import (
    ID,
    LABELS,
    LONG_PAGE,
    NAME_PATTERN,
    PAGED,
    PROJECT,
    REQUIRED_ID,
    SEQ,
    STATUSES,
    TAGS,
    TOKEN,
    Bound,
    Items,
    Seconds,
    Text,
)
from runstore_server.validation.rules import Found, MessageRules, Rules, report

MAX_LIFETIME_SECONDS = 400 * 86_400
REASON = Text(1, 1000)
OF_PROJECT: dict[str, Bound] = {"project": PROJECT}


def is_pattern(text: str) -> bool:
    """Whether it stands for projects: the name of one, a name and "/*", or "*"."""
    return text == ALL_PROJECTS or bool(NAME_PATTERN.fullmatch(text.removesuffix(BELOW)))


def _not_both(message: Any, path: str, found: Found) -> None:
    if message.of_server and message.project:
        report(found, path + "project", "must be empty if of_server is set")


def _role(message: Any, path: str, found: Found) -> None:
    if message.role == ROLE_UNSPECIFIED:
        report(found, path + "role", "must be set")
    elif message.role == ROLE_OPERATOR and message.project_pattern != ALL_PROJECTS:
        report(found, path + "project_pattern", f'must be "{ALL_PROJECTS}" for an operator')


def _pattern(message: Any, path: str, found: Found) -> None:
    if not is_pattern(message.project_pattern):
        report(
            found,
            path + "project_pattern",
            f'must be the name of a project, a name and "{BELOW}", or "{ALL_PROJECTS}"',
        )


def _operators(message: Any, path: str, found: Found) -> None:
    if not message.of_server and any(grant.role == ROLE_OPERATOR for grant in message.grants):
        report(found, path + "of_server", "must be set for a token of an operator")


def _target(message: Any, path: str, found: Found) -> None:
    target = message.WhichOneof("target")
    if target is None:
        report(found, path + "target", "must be set: a run_id or a filter")
    elif target == "run_id" and not message.run_id:
        report(found, path + "run_id", "must not be empty; set a filter to hold all runs")


RULES: Rules = {
    "Grant": MessageRules({"project_pattern": REQUIRED_ID}, checks=(_role, _pattern)),
    "Limits": MessageRules(
        {
            "calls_per_second": SEQ,
            "events_per_second": SEQ,
            "bytes_per_second": SEQ,
            "streams": SEQ,
            "stored_bytes": SEQ,
        }
    ),
    "ListProjectsRequest": MessageRules({"page_size": LONG_PAGE, "page_token": TOKEN}),
    "CreateTokenRequest": MessageRules(
        OF_PROJECT
        | {
            "name": REQUIRED_ID,
            "grants": Items(1, 64),
            "lifetime": Seconds(1, MAX_LIFETIME_SECONDS),
            "request_id": ID,
        },
        checks=(_not_both, _operators),
    ),
    "ListTokensRequest": MessageRules(OF_PROJECT | PAGED, checks=(_not_both,)),
    "RevokeTokenRequest": MessageRules(
        OF_PROJECT | {"token_id": REQUIRED_ID, "request_id": ID}, checks=(_not_both,)
    ),
    "SetLimitsRequest": MessageRules(OF_PROJECT | {"request_id": ID}, required=("limits",)),
    "GetLimitsRequest": MessageRules(OF_PROJECT),
    "ListAdminRecordsRequest": MessageRules(OF_PROJECT | PAGED, checks=(_not_both,)),
    "VerifyAdminRecordsRequest": MessageRules(
        OF_PROJECT | {"from_number": SEQ}, checks=(_not_both,)
    ),
    "ExportRunRequest": MessageRules(OF_PROJECT | {"run_id": REQUIRED_ID}),
    "RunSelection": MessageRules(
        {"statuses": STATUSES, "plan_id": ID, "tags": TAGS, "labels": LABELS}
    ),
    "PlaceHoldRequest": MessageRules(
        OF_PROJECT | {"run_id": ID, "reason": REASON, "request_id": ID}, checks=(_target,)
    ),
    "ReleaseHoldRequest": MessageRules(OF_PROJECT | {"hold_id": REQUIRED_ID, "request_id": ID}),
    "DeleteRunRequest": MessageRules(
        OF_PROJECT
        | {
            "run_id": REQUIRED_ID,
            "reason": REASON,
            "expected_last_seq": SEQ,
            "request_id": ID,
        }
    ),
    "ArchiveRunRequest": MessageRules(
        OF_PROJECT
        | {
            "run_id": REQUIRED_ID,
            "reason": REASON,
            "expected_last_seq": SEQ,
            "request_id": ID,
        }
    ),
    "RestoreRunRequest": MessageRules(
        OF_PROJECT | {"run_id": REQUIRED_ID, "reason": REASON, "request_id": ID}
    ),
    "ListRemovalsRequest": MessageRules(OF_PROJECT | {"run_id": ID} | PAGED),
    "ListHoldsRequest": MessageRules(OF_PROJECT | {"run_id": ID} | PAGED),
}
