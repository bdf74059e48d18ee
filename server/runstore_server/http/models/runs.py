"""Runs and their verification."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from runstore_server.http.models.described import Described, Hash, OutcomeName, PageToken, Salt, Seq
from runstore_server.http.models.events import UsageModel
from runstore_server.http.models.holds import HoldModel
from runstore_server.http.models.outputs import OutputModel
from runstore_server.http.models.payloads import PayloadModel
from runstore_server.http.models.snapshots import SnapshotSummary


class RunSummary(Described):
    """A run as a listing shows it."""

    project: str
    run_id: str
    plan_id: str
    objective: str
    parent_run_id: str
    status: Literal["running", "paused", "succeeded", "failed", "cancelled", "external"]
    outcome: OutcomeName | None
    success: bool | None = Field(
        description="True if it succeeded, false if it failed or was cancelled."
    )
    tags: list[str]
    labels: dict[str, str]
    subjects: list[str] = Field(description="Whom the run is about.")
    last_seq: Seq
    usage: UsageModel
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


class RunList(Described):
    """A page of runs."""

    runs: list[RunSummary]
    limit: int
    offset: int
    next_page_token: PageToken


class ExternalRefModel(Described):
    """The same execution in another system."""

    system: str
    id: str
    url: str
    owns_status: bool


class ConfigRefModel(Described):
    """A config version that the run is pinned to."""

    kind: str
    name: str
    version: int
    digest: str


class ForkBaseModel(Described):
    """The run that a fork's history begins with, and the last seq that both have."""

    run_id: str
    seq: Seq


class RunModel(RunSummary):
    """A run in full."""

    plan: PayloadModel | None
    plan_result: PayloadModel | None = Field(description="The plan again, as consoles name it.")
    execution_result: PayloadModel | None = Field(description="The latest output's payload.")
    output: OutputModel | None = Field(description="The latest output.")
    external_ref: ExternalRefModel | None
    config_refs: list[ConfigRefModel]
    fork_base: ForkBaseModel | None
    writer_epoch: int
    last_hash: Hash
    salt: Salt
    holds: list[HoldModel] = Field(
        description="What keeps the run from being removed, newest first; at most 100."
    )
    latest_snapshot: SnapshotSummary | None = Field(description="The newest of all namespaces.")


class RunAnswer(Described):
    """A run in full."""

    run: RunModel


class ChainBreak(Described):
    """Where the hash chain is broken."""

    seq: Seq
    problem: str


class VerificationAnswer(Described):
    """What recomputing the hash chain found."""

    verified: bool
    checked_events: int
    last_seq: Seq
    last_hash: Hash
    first_break: ChainBreak | None
    next_from_seq: int | None = Field(
        description="Where to continue after `max_events`; null at the end."
    )
    erased_events: int = Field(description="How many of the checked events were erased.")
