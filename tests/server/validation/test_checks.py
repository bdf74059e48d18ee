"""What no single field shows to be wrong: each such rule from both of its sides."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message
from runstore.v1 import artifact_service_pb2 as artifacts
from runstore.v1 import config_service_pb2 as configs
from runstore.v1 import feed_service_pb2 as feed
from runstore.v1 import run_service_pb2 as runs
from runstore.v1 import search_pb2, statistics_pb2
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.runs_pb2 import ConfigRef
from runstore.v1.snapshots_pb2 import PlanNode, Snapshot, TaskWrite
from runstore_server.edge.errors import InvalidRequest
from runstore_server.validation.requests import refuse, validate

RUN, NODE = statistics_pb2.STATISTICS_DIMENSION_RUN, statistics_pb2.STATISTICS_DIMENSION_NODE
MODEL, TOOL = statistics_pb2.STATISTICS_DIMENSION_MODEL, statistics_pb2.STATISTICS_DIMENSION_TOOL
MAX_METADATA_BYTES = 65_536  # as the contract says
OBJECT = Payload(json='\n {"a":1}')


def refused(request: Message) -> dict[str, str]:
    try:
        validate(request)
    except InvalidRequest as error:
        return {each.field: each.description for each in error.violations}
    return {}


def which(**fields: Any) -> Message:
    return artifacts.GetArtifactRequest(**fields)


def link(**fields: Any) -> Message:
    return artifacts.LinkArtifactRequest(
        **{"run_id": "r", "name": "n", "url": "https://a/b?c=%20#d", **fields}
    )


def metadata_of(size: int) -> Payload:
    """Metadata of so many bytes on the wire, of which a few name its parts."""
    around = Payload(json='{"":""}')
    around.json = '{"":"' + "x" * (size - 100) + '"}'
    around.json = around.json.replace('""', '"' + "x" * (size - around.ByteSize()) + '"')
    assert around.ByteSize() == size
    return around


def selected(**fields: Any) -> Message:
    return runs.SaveRunRequest(config_refs=[ConfigRef(kind="k", name="n", **fields)])


def snapshot(**fields: Any) -> Message:
    return runs.PutSnapshotRequest(run_id="r", snapshot=Snapshot(**fields))


def writes(*found: TaskWrite) -> Message:
    return runs.PutTaskWritesRequest(run_id="r", writes=found)


def counted(**fields: Any) -> Message:
    return statistics_pb2.GetStatisticsRequest(**fields)


def on_days(first: str, last: str) -> Message:
    return counted(filter=statistics_pb2.StatisticsFilter(from_day=first, to_day=last))


TAKEN = [
    which(artifact_id="a"),
    which(run_id="r", name="n"),
    which(run_id="r", name="n", version=1),
    link(),
    link(sha256=bytes(32), metadata=OBJECT),
    link(metadata=metadata_of(MAX_METADATA_BYTES)),
    selected(version=1),
    selected(digest="d"),
    selected(label="l"),
    selected(version=1, digest="d"),
    configs.RegisterVersionRequest(kind="k", name="n", body=OBJECT, metadata=OBJECT),
    feed.FollowFeedRequest(consumer="c"),
    feed.FollowFeedRequest(from_position=1),
    snapshot(metadata=OBJECT),
    snapshot(run_id="r"),
    snapshot(nodes=[PlanNode(node_id="a"), PlanNode(node_id="b")], pending_node_ids=["b", "a"]),
    runs.CompleteRunRequest(run_id="r", outcome=1, final_snapshot=Snapshot(run_id="r")),
    runs.ListSnapshotsRequest(run_id="r", before="s", metadata=OBJECT),
    runs.ListSnapshotsRequest(),
    runs.StreamEventsRequest(run_id="r", follow=True, wait_for_run=True),
    runs.StreamEventsRequest(run_id="r", follow=True),
    writes(TaskWrite(task_id="t"), TaskWrite(task_id="t", index=1)),
    writes(TaskWrite(task_id="t"), TaskWrite(task_id="t", snapshot_id="s")),
    writes(TaskWrite(task_id="t"), TaskWrite(task_id="u")),
    counted(group_by=[RUN, NODE], label_key="l", roll_up_to_root=True),
    counted(group_by=[RUN, NODE, MODEL]),
    counted(
        filter=statistics_pb2.StatisticsFilter(run_ids=["r"]),
        include_descendants=True,
    ),
    on_days("2026-01-01", ""),
    on_days("", "2024-02-29"),
    search_pb2.SearchEventsRequest(query="a b"),
]
REFUSED = [
    (which(), {"artifact_id"}),
    (which(run_id="r"), {"artifact_id"}),
    (which(name="n"), {"artifact_id"}),
    (which(artifact_id="a", run_id="r"), {"run_id"}),
    (which(artifact_id="a", name="n", version=1), {"name", "version"}),
    (artifacts.DownloadArtifactRequest(), {"artifact_id"}),
    (link(sha256=bytes(31)), {"sha256"}),
    (link(metadata=metadata_of(MAX_METADATA_BYTES + 1)), {"metadata"}),
    (link(metadata=Payload(json="[]")), {"metadata"}),
    (link(metadata=Payload(binary=b"{}")), {"metadata"}),
    (
        artifacts.UploadArtifactRequest(
            header=artifacts.ArtifactHeader(
                run_id="r", name="n", sha256=b"x", metadata=Payload(json='"{}"')
            )
        ),
        {"header.sha256", "header.metadata"},
    ),
    *((link(url=url), {"url"}) for url in ("https://a b", "https://ä", "https://a\n")),
    (selected(), {"config_refs[0]"}),
    (selected(label="l", version=1), {"config_refs[0].label"}),
    (selected(label="l", digest="d"), {"config_refs[0].label"}),
    (
        configs.RegisterVersionRequest(
            kind="k", name="n", body=OBJECT, metadata=Payload(json="[1]")
        ),
        {"metadata"},
    ),
    (feed.FollowFeedRequest(consumer="c", from_position=1), {"from_position"}),
    (snapshot(metadata=Payload(json="1")), {"snapshot.metadata"}),
    (snapshot(run_id="other"), {"snapshot.run_id"}),
    (snapshot(pending_node_ids=["a"]), {"snapshot.pending_node_ids[0]"}),
    (
        snapshot(nodes=[PlanNode(node_id=each) for each in "aba"]),
        {"snapshot.nodes[2]"},
    ),
    (
        runs.CompleteRunRequest(run_id="r", outcome=1, final_snapshot=Snapshot(run_id="s")),
        {"final_snapshot.run_id"},
    ),
    (runs.ListSnapshotsRequest(before="s"), {"before"}),
    (runs.ListSnapshotsRequest(metadata=Payload(json="1")), {"metadata"}),
    (runs.StreamEventsRequest(run_id="r", wait_for_run=True), {"wait_for_run"}),
    (writes(TaskWrite(task_id="t"), TaskWrite(task_id="t")), {"writes[1]"}),
    (
        runs.PutSnapshotRequest(
            run_id="r", snapshot=Snapshot(), task_writes=[TaskWrite(task_id="t", index=3)] * 2
        ),
        {"task_writes[1]"},
    ),
    (counted(group_by=[RUN, RUN]), {"group_by"}),
    (counted(group_by=[RUN, NODE, MODEL], label_key="l"), {"label_key"}),
    (counted(include_descendants=True), {"include_descendants"}),
    (counted(group_by=[TOOL], roll_up_to_root=True), {"roll_up_to_root"}),
    *(
        (on_days(day, day), {"filter.from_day", "filter.to_day"})
        for day in ("2026-02-29", "20260101", "2026-1-1", "x")
    ),
    (search_pb2.SearchEventsRequest(query="-a"), {"query"}),
]


@pytest.mark.parametrize("request_", TAKEN, ids=lambda each: type(each).__name__)
def test_what_keeps_every_rule_is_taken(request_: Message) -> None:
    assert refused(request_) == {}


@pytest.mark.parametrize(("request_", "fields"), REFUSED)
def test_what_breaks_a_rule_is_refused_where_it_does(request_: Message, fields: set[str]) -> None:
    assert set(refused(request_)) == fields


def test_a_refusal_names_its_field() -> None:
    with pytest.raises(InvalidRequest) as caught:
        refuse("a", "is odd")

    assert str(caught.value) == "a: is odd"
