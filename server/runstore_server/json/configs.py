"""Configs, their versions, and the moves of their labels."""

from __future__ import annotations

import runstore

from runstore_server.json.payloads import payload_value
from runstore_server.json.texts import time_text
from runstore_server.json.writing import JsonObject


def config_value(config: runstore.Config) -> JsonObject:
    return {
        "kind": config.kind,
        "name": config.name,
        "latest": version_summary_value(config.latest),
        "labels": {label.label: label.version for label in config.labels},
        "created_at": time_text(config.created_at),
    }


def version_summary_value(version: runstore.ConfigVersion) -> JsonObject:
    """A version without its body."""
    return {
        "kind": version.kind,
        "name": version.name,
        "version": version.version,
        "digest": version.digest,
        "body_bytes": version.body_bytes,
        "description": version.description,
        "metadata": payload_value(version.metadata),
        "labels": version.labels,
        "actor": version.actor,
        "created_at": time_text(version.created_at),
    }


def version_value(version: runstore.ConfigVersion) -> JsonObject:
    return {**version_summary_value(version), "body": payload_value(version.body)}


def registered_version_value(registered: runstore.RegisteredVersion) -> JsonObject:
    return {
        "version": registered.version,
        "digest": registered.digest,
        "created_at": time_text(registered.created_at),
        "deduplicated": registered.deduplicated,
    }


def label_move_value(move: runstore.LabelMove) -> JsonObject:
    return {
        "label": move.label,
        "from_version": move.from_version,
        "to_version": move.to_version,
        "actor": move.actor,
        "moved_at": time_text(move.moved_at),
    }
