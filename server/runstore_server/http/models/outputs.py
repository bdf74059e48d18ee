"""Outputs."""

from __future__ import annotations

from datetime import datetime

from runstore_server.http.models.described import Described, OutcomeName, Salt
from runstore_server.http.models.events import UsageModel
from runstore_server.http.models.payloads import PayloadModel


class OutputModel(Described):
    """A revision of a run's output."""

    payload: PayloadModel | None
    schema_hash: str
    plan_version_id: str
    provenance: PayloadModel | None
    statistics: PayloadModel | None
    usage: UsageModel
    outcome: OutcomeName | None
    revision: int
    completed_at: datetime
    salt: Salt


class OutputAnswer(Described):
    """A revision of a run's output."""

    output: OutputModel
