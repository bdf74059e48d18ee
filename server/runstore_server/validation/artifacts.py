"""Artifacts: uploaded, linked, found."""

from __future__ import annotations

from typing import Any

from runstore_server.validation.bounds import ID, PAGED, PROJECT, REQUIRED_ID, SEQ, Bound, Text
from runstore_server.validation.checks import SHA256_BYTES, json_object
from runstore_server.validation.rules import Found, MessageRules, Rules, report

MAX_METADATA_BYTES = 64 << 10
NAME = Text(0, 500)
NEW_ARTIFACT: dict[str, Bound] = {
    "project": PROJECT,
    "run_id": REQUIRED_ID,
    "name": Text(1, NAME.high),
    "type": ID,
    "content_type": ID,
    "size": SEQ,
    "actor": ID,
}
OF_ARTIFACT: dict[str, Bound] = {
    "project": PROJECT,
    "artifact_id": ID,
    "run_id": ID,
    "name": NAME,
    "version": SEQ,
}


def _names_artifact(message: Any, path: str, found: Found) -> None:
    if message.artifact_id:
        for name in ("run_id", "name", "version"):
            if getattr(message, name):
                report(found, path + name, "must not be set together with artifact_id")
    elif not (message.run_id and message.name):
        report(found, path + "artifact_id", "must be set unless run_id and name are")


def _sizes(message: Any, path: str, found: Found) -> None:
    if len(message.sha256) not in {0, SHA256_BYTES}:
        report(found, path + "sha256", f"must be empty or have {SHA256_BYTES} bytes")
    if message.metadata.ByteSize() > MAX_METADATA_BYTES:
        report(found, path + "metadata", f"must have at most {MAX_METADATA_BYTES} bytes")


def _url(message: Any, path: str, found: Found) -> None:
    if not (message.url.isascii() and message.url.isprintable()) or " " in message.url:
        report(found, path + "url", "must be printable ASCII without spaces")


RULES: Rules = {
    "ArtifactHeader": MessageRules(NEW_ARTIFACT, checks=(json_object("metadata"), _sizes)),
    "LinkArtifactRequest": MessageRules(
        NEW_ARTIFACT | {"url": Text(1, 2000)}, checks=(json_object("metadata"), _sizes, _url)
    ),
    "DownloadArtifactRequest": MessageRules(
        OF_ARTIFACT | {"offset": SEQ, "length": SEQ}, checks=(_names_artifact,)
    ),
    "GetArtifactRequest": MessageRules(OF_ARTIFACT, checks=(_names_artifact,)),
    "ListArtifactsRequest": MessageRules(
        {"project": PROJECT, "run_id": ID, "type": ID, "name": NAME} | PAGED
    ),
}
