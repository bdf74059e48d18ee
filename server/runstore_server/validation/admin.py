"""Grants, tokens, limits, holds, removals, erasures and archives."""

from __future__ import annotations

from typing import Any

from runstore.v1.admin_pb2 import ROLE_OPERATOR, ROLE_UNSPECIFIED
from runstore_storage.contract.access import ALL_PROJECTS, BELOW

from runstore_server.validation.bounds import (
    FULL_BATCH,
    ID,
    LABELS,
    LONG_PAGE,
    MAX_INT64,
    NAME_PATTERN,
    PAGED,
    PROJECT,
    REQUIRED_ID,
    SEQ,
    STATUSES,
    TAGS,
    TOKEN,
    Bound,
    Integer,
    Items,
    Seconds,
    Text,
)
from runstore_server.validation.rules import Found, MessageRules, Rules, report

MAX_LIFETIME_SECONDS = 400 * 86_400
REASON = Text(1, 1000)
KEEP = Seconds(1, 100 * 365 * 86_400)
KEEPS = ("keep_events", "keep_snapshots", "keep_artifacts", "keep_search_text", "keep_run")
OF_EVENT = Integer(1, MAX_INT64)
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


def _keeps(message: Any, path: str, found: Found) -> None:
    if not any(message.HasField(name) for name in KEEPS):
        report(found, path + "keep_run", f"must be set, or another of {', '.join(KEEPS)}")
    if message.keep_last_snapshots and not message.HasField("keep_snapshots"):
        report(
            found, path + "keep_snapshots", "must be set for keep_last_snapshots to mean anything"
        )


def _in_order(message: Any, path: str, found: Found) -> None:
    if message.last_seq < message.first_seq:
        report(found, path + "last_seq", "must not be before first_seq")


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
    "SeqRange": MessageRules({"first_seq": OF_EVENT, "last_seq": OF_EVENT}, checks=(_in_order,)),
    "EraseEventsRequest": MessageRules(
        OF_PROJECT | {"run_id": REQUIRED_ID, "seqs": FULL_BATCH, "reason": REASON, "request_id": ID}
    ),
    "EraseSubjectRequest": MessageRules(
        OF_PROJECT | {"subject": REQUIRED_ID, "reason": REASON, "request_id": ID}
    ),
    "GetErasureRequest": MessageRules(OF_PROJECT | {"erasure_id": REQUIRED_ID}),
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
    "Policy": MessageRules(
        {
            "name": REQUIRED_ID,
            "keep_last_snapshots": Integer(0, 1_000_000),
            "keep_events": KEEP,
            "keep_snapshots": KEEP,
            "keep_artifacts": KEEP,
            "keep_search_text": KEEP,
            "keep_run": KEEP,
        },
        checks=(_keeps,),
    ),
    "PutPolicyRequest": MessageRules(
        OF_PROJECT | {"reason": REASON, "request_id": ID}, required=("policy",)
    ),
    "ListPoliciesRequest": MessageRules(OF_PROJECT | PAGED),
    "DeletePolicyRequest": MessageRules(
        OF_PROJECT | {"name": REQUIRED_ID, "reason": REASON, "request_id": ID}
    ),
    "PreviewRetentionRequest": MessageRules(OF_PROJECT),
}
