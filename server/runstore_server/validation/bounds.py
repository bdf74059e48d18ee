"""The bounds of every request field, as the contracts' comments state them.

A rule's text is what stands behind "Bounds:" in the field's comment; a test proves the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_INT64 = 2**63 - 1
MAX_INT32 = 2**31 - 1

RunOrderName = Literal[
    "created_desc",
    "created_asc",
    "updated_desc",
    "updated_asc",
    "completed_desc",
    "completed_asc",
]
"""The orders of ListRuns where they are spelled: by HTTP and on the command line."""


@dataclass(frozen=True, slots=True)
class Text:
    """Length of a string in Unicode characters, and of its UTF-8 where that is bounded too.

    NUL is never allowed.
    """

    low: int
    high: int
    most_bytes: int | None = None

    def __str__(self) -> str:
        most = f", at most {self.most_bytes} bytes" if self.most_bytes else ""
        return f"{self.low}..{self.high} characters{most}"


@dataclass(frozen=True, slots=True)
class Items:
    """Number of items, and the rule each string item keeps."""

    low: int
    high: int
    each: Text | None = None

    def __str__(self) -> str:
        return f"{self.low}..{self.high} items" + (f", each {self.each}" if self.each else "")


@dataclass(frozen=True, slots=True)
class Entries:
    """Number of entries of a map, and the rules of its keys and string values."""

    high: int
    keys: Text
    values: Text | None = None

    def __str__(self) -> str:
        values = f", values {self.values}" if self.values else ""
        return f"0..{self.high} items, keys {self.keys}{values}"


@dataclass(frozen=True, slots=True)
class Whole:
    """Range of an integer."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@dataclass(frozen=True, slots=True)
class Seconds:
    """Range of a duration."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:.0f} seconds"


Rule = Text | Items | Entries | Whole | Seconds

ID = Text(0, 200)
REQUIRED_ID = Text(1, 200)
# Nested graphs' names are long; more bytes than this would not fit the key of a task write, which
# is an index row of Postgres.
NAMESPACE = Text(0, 400, most_bytes=1000)
TAGS = Items(0, 64, REQUIRED_ID)
LABELS = Entries(64, REQUIRED_ID, Text(0, 1000))
COUNT = Whole(0, 10**15)
SEQ = Whole(0, MAX_INT64)
TOKEN = Text(0, 2500)
DAY = Text(0, 10)
MAX_DIMENSIONS = 3
BATCH = Items(0, 1000)
FULL_BATCH = Items(1, 1000)
NODES = Items(0, 10_000)
GUARDED: dict[str, Rule] = {"expected_seq": SEQ, "writer_epoch": SEQ}
OF_RUN: dict[str, Rule] = {"project": ID, "run_id": REQUIRED_ID}
OF_CONFIG: dict[str, Rule] = {"project": ID, "kind": REQUIRED_ID, "name": REQUIRED_ID}
PAGED: dict[str, Rule] = {"page_size": Whole(0, 100), "page_token": TOKEN}
LABEL_CHANGE: dict[str, Rule] = {
    "label": REQUIRED_ID,
    "expected_version": SEQ,
    "actor": ID,
    "request_id": ID,
}
ARTIFACT_NAME = Text(1, 500)
OF_NEW_ARTIFACT: dict[str, Rule] = {
    "project": ID,
    "run_id": REQUIRED_ID,
    "name": ARTIFACT_NAME,
    "type": ID,
    "content_type": ID,
    "size": SEQ,
    "actor": ID,
}
OF_ARTIFACT: dict[str, Rule] = {
    "project": ID,
    "artifact_id": ID,
    "run_id": ID,
    "name": Text(0, 500),
    "version": SEQ,
}
OF_CONSUMER: dict[str, Rule] = {"project": ID, "consumer": REQUIRED_ID}

RULES: dict[str, dict[str, Rule]] = {
    "Payload": {"content_type": ID},
    "Event": {
        "event_id": ID,
        "type": REQUIRED_ID,
        "node_id": ID,
        "actor": ID,
        "model": ID,
        "tool": ID,
        "tags": TAGS,
        "trace_parent": ID,
    },
    "Usage": {
        "input_tokens": COUNT,
        "output_tokens": COUNT,
        "cached_input_tokens": COUNT,
        "cost_micros": COUNT,
        "duration": Seconds(0, 864_000_000),
    },
    "EventFilter": {"types": TAGS, "node_ids": TAGS, "tags": TAGS},
    "PlanNode": {
        "node_id": REQUIRED_ID,
        "kind": ID,
        "facets": Items(0, 1000, REQUIRED_ID),
        "status": ID,
    },
    "Snapshot": {
        "run_id": ID,
        "namespace": NAMESPACE,
        "snapshot_id": ID,
        "parent_snapshot_id": ID,
        "seq": SEQ,
        "plan_version_id": ID,
        "nodes": NODES,
        "pending_node_ids": Items(0, 10_000, REQUIRED_ID),
        "state": Entries(10_000, REQUIRED_ID),
    },
    "TaskWrite": {
        "snapshot_id": ID,
        "task_id": REQUIRED_ID,
        "index": Whole(-1000, 100_000),
        "channel": ID,
    },
    "Output": {"schema_hash": ID, "plan_version_id": ID},
    "ExternalRef": {"system": REQUIRED_ID, "id": Text(1, 1000), "url": Text(0, 2000)},
    "ConfigRef": {
        "kind": REQUIRED_ID,
        "name": REQUIRED_ID,
        "version": SEQ,
        "digest": ID,
        "label": ID,
    },
    "Completion": {"events": BATCH},
    "RunFilter": {
        "statuses": Items(0, 16),
        "tags": TAGS,
        "labels": LABELS,
        "plan_id": ID,
        "model": ID,
        "tool": ID,
        "parent_run_id": ID,
        "any_tags": TAGS,
        "root_run_id": ID,
        "objective": Text(0, 1000),
    },
    "ExternalFilter": {"system": REQUIRED_ID, "id": Text(0, 1000)},
    "ConfigFilter": {
        "kind": REQUIRED_ID,
        "name": REQUIRED_ID,
        "version": SEQ,
        "digest": ID,
    },
    "SaveRunRequest": {
        "project": ID,
        "run_id": ID,
        "plan_id": ID,
        "objective": Text(0, 100_000),
        "parent_run_id": ID,
        "config_refs": Items(0, 1000),
        "tags": TAGS,
        "labels": LABELS,
    },
    "GetRunRequest": OF_RUN,
    "ListRunsRequest": {"project": ID, "page_size": Whole(0, 100), "page_token": TOKEN},
    "AppendEventRequest": OF_RUN | GUARDED,
    "AppendEventsRequest": OF_RUN | GUARDED | {"events": FULL_BATCH},
    "AppendEventStreamRequest": {"correlation_id": ID},
    "ListEventsRequest": OF_RUN | {"from_seq": SEQ, "page_size": Whole(0, 1000)},
    "StreamEventsRequest": OF_RUN | {"from_seq": SEQ, "heartbeat_interval": Seconds(0.1, 3600)},
    "PutSnapshotRequest": OF_RUN
    | GUARDED
    | {"events": BATCH, "task_writes": BATCH, "request_id": ID},
    "PutTaskWritesRequest": OF_RUN
    | {"namespace": NAMESPACE, "writes": FULL_BATCH, "writer_epoch": SEQ},
    "DeleteSnapshotsRequest": OF_RUN
    | {"namespace": NAMESPACE, "snapshot_ids": Items(1, 1000, REQUIRED_ID), "writer_epoch": SEQ},
    "GetSnapshotRequest": OF_RUN
    | {
        "namespace": NAMESPACE,
        "snapshot_id": REQUIRED_ID,
        "plan_version_id": REQUIRED_ID,
        "at_seq": SEQ,
    },
    "ListSnapshotsRequest": {
        "project": ID,
        "run_id": ID,
        "namespace": NAMESPACE,
        "before": ID,
        "limit": Whole(0, 100),
        "page_token": TOKEN,
    },
    "ResumeRunRequest": OF_RUN
    | {
        "namespace": NAMESPACE,
        "request_id": ID,
        "actor": ID,
        "page_size": Whole(0, 1000),
        "expected_seq": SEQ,
    },
    "CompleteRunRequest": OF_RUN | GUARDED | {"events": BATCH},
    "GetOutputRequest": OF_RUN | {"revision": Whole(0, MAX_INT32)},
    "FeedFilter": {"types": TAGS, "tags": TAGS, "labels": LABELS},
    "ReadFeedRequest": {"project": ID, "from_position": SEQ, "page_size": Whole(0, 1000)},
    "FollowFeedRequest": {
        "project": ID,
        "from_position": SEQ,
        "consumer": ID,
        "heartbeat_interval": Seconds(0.1, 3600),
    },
    "CommitPositionRequest": OF_CONSUMER | {"position": SEQ},
    "GetConsumerRequest": OF_CONSUMER,
    "ListConsumersRequest": {"project": ID, "page_size": Whole(0, 1000), "page_token": TOKEN},
    "ResetConsumerRequest": OF_CONSUMER | {"position": SEQ},
    "RegisterVersionRequest": OF_CONFIG
    | {"description": Text(0, 10_000), "labels": TAGS, "actor": ID, "request_id": ID},
    "GetVersionRequest": OF_CONFIG | {"version": SEQ, "digest": REQUIRED_ID, "label": REQUIRED_ID},
    "ListVersionsRequest": OF_CONFIG | PAGED,
    "ListConfigsRequest": {"project": ID, "kind": ID, "name_prefix": ID} | PAGED,
    "SetLabelRequest": OF_CONFIG | LABEL_CHANGE | {"version": Whole(1, MAX_INT64)},
    "RemoveLabelRequest": OF_CONFIG | LABEL_CHANGE,
    "ListLabelMovesRequest": OF_CONFIG | {"label": ID} | PAGED,
    "ArtifactHeader": OF_NEW_ARTIFACT,
    "LinkArtifactRequest": OF_NEW_ARTIFACT | {"url": Text(1, 2000)},
    "DownloadArtifactRequest": OF_ARTIFACT | {"offset": SEQ, "length": SEQ},
    "GetArtifactRequest": OF_ARTIFACT,
    "ListArtifactsRequest": {
        "project": ID,
        "run_id": ID,
        "type": ID,
        "name": Text(0, 500),
        "page_size": Whole(0, 100),
        "page_token": TOKEN,
    },
    "SearchFilter": {
        "run_ids": TAGS,
        "types": TAGS,
        "node_ids": TAGS,
        "model": ID,
        "tool": ID,
        "tags": TAGS,
    },
    "EventPlace": {"run_id": REQUIRED_ID, "seq": Whole(1, MAX_INT64)},
    "SearchEventsRequest": {
        "project": ID,
        "query": Text(1, 1000),
        "page_size": Whole(0, 100),
        "page_token": TOKEN,
        "min_position": SEQ,
        "wait": Seconds(0, 30),
    },
    "ReplayRunRequest": OF_RUN
    | {"at_seq": SEQ, "namespace": NAMESPACE, "page_size": Whole(0, 1000)},
    "ForkRunRequest": OF_RUN
    | {
        "at_seq": SEQ,
        "fork_run_id": ID,
        "objective": Text(0, 100_000),
        "config_refs": Items(0, 1000),
        "tags": TAGS,
        "labels": LABELS,
    },
    "StatisticsFilter": {
        "run_ids": TAGS,
        "plan_id": ID,
        "labels": LABELS,
        "tags": TAGS,
        "types": TAGS,
        "models": TAGS,
        "tools": TAGS,
        "node_ids": TAGS,
        "from_day": DAY,
        "to_day": DAY,
    },
    "GetStatisticsRequest": {
        "project": ID,
        "group_by": Items(0, MAX_DIMENSIONS),
        "label_key": ID,
        "page_size": Whole(0, 1000),
        "page_token": Text(0, 10_000),
        "min_position": SEQ,
        "wait": Seconds(0, 30),
    },
    "VerifyRunRequest": OF_RUN | {"from_seq": SEQ, "max_events": Whole(0, 1_000_000)},
}

# Messages without which a request means nothing.
REQUIRED = {
    "AppendEventRequest": ("event",),
    "AppendEventStreamRequest": ("append",),
    "PutSnapshotRequest": ("snapshot",),
    "RegisterVersionRequest": ("body",),
}
