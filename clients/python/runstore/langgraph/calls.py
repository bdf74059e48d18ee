"""The calls of a saver, where the client's own do not say enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from runstore import calls
from runstore.calls.call import RUNS, Call
from runstore.ids import new_id
from runstore.langgraph.addresses import Place
from runstore.langgraph.checkpoints import FORMAT, Draft, State
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.events import NewEvent
from runstore.values.payloads import Payload
from runstore.values.runs import RunInfo, RunRef
from runstore.values.snapshots import Snapshot, SnapshotPut, SnapshotReason, TaskWrite
from runstore.wire.runs import replayed_value

EVENT_TYPE = "langgraph.checkpoint"
# Events that tell of a writer; others may append what they like.
WRITERS_EVENTS = (EVENT_TYPE, "run.resumed")
ACTOR = "langgraph"
TAG = "langgraph"
# No graph has this namespace: a claim then brings no snapshot along.
_NO_NAMESPACE = "runstore.none"


class Claimed(NamedTuple):
    """The epoch that was claimed, and the seq of the event that says so."""

    epoch: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Put:
    """A checkpoint to be stored."""

    place: Place
    parent: str
    state: State
    metadata: Payload | None
    writes: Sequence[TaskWrite] = ()

    def with_writes(self, writes: Sequence[TaskWrite]) -> Put:
        """The same with other writes, which are those of this checkpoint."""
        return replace(self, writes=[replace(write, snapshot_id="") for write in writes])


def put_of(place: Place, parent: str, drafted: Draft, writes: Sequence[TaskWrite]) -> Put:
    """What stores a drafted checkpoint."""
    return Put(place, parent, drafted.state, drafted.metadata, writes)


def save_run(project: str, thread_id: str) -> Call[RunInfo]:
    """The run of a thread; every saver saves the same, so that they can race."""
    return calls.runs.save_run(project, "", {"run_id": thread_id, "tags": [TAG]})


def view(run: RunRef, namespace: str) -> Call[tuple[RunInfo, Snapshot | None]]:
    """The run and its latest snapshot in a namespace."""
    request = rpc.ReplayRunRequest(
        project=run.project, run_id=run.run_id, namespace=namespace, page_size=1
    )
    return Call(RUNS, "ReplayRun", request, _view)


def _view(response: rpc.ReplayRunResponse) -> tuple[RunInfo, Snapshot | None]:
    found = replayed_value(response)
    if found.snapshot is None:
        return found.run, None
    return found.run, replace(found.snapshot, task_writes=found.task_writes)


def claim(run: RunRef, expected_seq: int | None) -> Call[Claimed]:
    """Claim the run, given a seq only where nobody wrote since; no more than that is read."""
    request = rpc.ResumeRunRequest(
        project=run.project,
        run_id=run.run_id,
        namespace=_NO_NAMESPACE,
        actor=ACTOR,
        request_id=new_id(),
        page_size=1,
        expected_seq=expected_seq,
    )
    return Call(
        RUNS,
        "ResumeRun",
        request,
        lambda response: Claimed(response.writer_epoch, response.run.last_seq),
    )


def put(run: RunRef, asked: Put) -> Call[SnapshotPut]:
    """Store a checkpoint with writes, and the event that tells of it."""
    return calls.snapshots.put_snapshot(
        run,
        {
            "namespace": asked.place.namespace,
            "snapshot_id": asked.place.checkpoint_id,
            "parent_snapshot_id": asked.parent,
            "plan_version_id": FORMAT,
            "reason": SnapshotReason.CHECKPOINT,
            "state": asked.state,
            "metadata": cast(Mapping[str, Any], asked.metadata),
        },
        [_told(asked)],
        asked.writes,
        None,
    )


def _told(asked: Put) -> NewEvent:
    metadata = asked.metadata.value() if asked.metadata else {}
    fact = {
        "checkpoint_id": asked.place.checkpoint_id,
        "namespace": asked.place.namespace,
        "source": metadata.get("source"),
        "step": metadata.get("step"),
    }
    return NewEvent(EVENT_TYPE, fact, actor=ACTOR)


def latest(run: RunRef, namespace: str) -> Call[Snapshot]:
    """The latest checkpoint of a namespace, whatever snapshots other clients put after it."""
    return calls.snapshots.get_snapshot(run, namespace, plan_version_id=FORMAT)
