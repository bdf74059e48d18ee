"""Configs, their versions and labels."""

from __future__ import annotations

from typing import Any

from runstore_server.validation.bounds import (
    ID,
    MAX_INT64,
    PAGED,
    PROJECT,
    REQUIRED_ID,
    SEQ,
    TAGS,
    Bound,
    Integer,
    Text,
)
from runstore_server.validation.checks import json_object, no_refs
from runstore_server.validation.rules import Found, MessageRules, Rules, report

OF_CONFIG: dict[str, Bound] = {"project": PROJECT, "kind": REQUIRED_ID, "name": REQUIRED_ID}
LABEL_CHANGE: dict[str, Bound] = {
    "label": REQUIRED_ID,
    "expected_version": SEQ,
    "actor": ID,
    "request_id": ID,
}


def _one_selector(message: Any, path: str, found: Found) -> None:
    if not (message.version or message.digest or message.label):
        report(found, path.removesuffix("."), "must have a version, a digest or a label")
    elif message.label and (message.version or message.digest):
        report(found, path + "label", "must not be set together with version or digest")


RULES: Rules = {
    "ConfigRef": MessageRules(
        {"kind": REQUIRED_ID, "name": REQUIRED_ID, "version": SEQ, "digest": ID, "label": ID},
        checks=(_one_selector,),
    ),
    "RegisterVersionRequest": MessageRules(
        OF_CONFIG | {"description": Text(0, 10_000), "labels": TAGS, "actor": ID, "request_id": ID},
        required=("body",),
        checks=(no_refs("body", "metadata"), json_object("metadata")),
    ),
    "GetVersionRequest": MessageRules(
        OF_CONFIG | {"version": SEQ, "digest": REQUIRED_ID, "label": REQUIRED_ID}
    ),
    "ListVersionsRequest": MessageRules(OF_CONFIG | PAGED),
    "ListConfigsRequest": MessageRules({"project": PROJECT, "kind": ID, "name_prefix": ID} | PAGED),
    "SetLabelRequest": MessageRules(OF_CONFIG | LABEL_CHANGE | {"version": Integer(1, MAX_INT64)}),
    "RemoveLabelRequest": MessageRules(OF_CONFIG | LABEL_CHANGE),
    "ListLabelMovesRequest": MessageRules(OF_CONFIG | {"label": ID} | PAGED),
}
