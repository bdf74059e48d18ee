"""Artifacts."""

from __future__ import annotations

import runstore

from runstore_server.json.payloads import payload_value
from runstore_server.json.texts import hash_text, time_text
from runstore_server.json.writing import JsonObject


def artifact_value(artifact: runstore.Artifact) -> JsonObject:
    return {
        "artifact_id": artifact.artifact_id,
        "project": artifact.project,
        "run_id": artifact.run_id,
        "name": artifact.name,
        "version": artifact.version,
        "type": artifact.type,
        "content_type": artifact.content_type,
        "size": artifact.size,
        "sha256": hash_text(artifact.sha256),
        "url": artifact.url,
        "metadata": payload_value(artifact.metadata),
        "actor": artifact.actor,
        "created_at": time_text(artifact.created_at),
    }
