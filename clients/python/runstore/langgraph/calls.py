"""The saver's own calls, for what the client's do not express."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from runstore import calls
from runstore.calls.call import RUNS, Call
from runstore.ids import new_id
from runstore.langgraph.addresses import CheckpointAddress
from runstore.langgraph.checkpoints import FORMAT, Draft, State
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.events import NewEvent
from runstore.values.payloads import Payload
from runstore.values.runs import RunInfo, RunRef
from runstore.values.snapshots import Snapshot, SnapshotPut, SnapshotReason, TaskWrite
from runstore.wire.runs import replayed_value

EVENT_TYPE = "langgraph.checkpoint"
# Events that only savers write; other clients may append events of any other type.
WRITERS_EVENTS = (EVENT_TYPE, "run.resumed")
ACTOR = "langgraph"
TAG = "langgraph"
# No graph has this namespace, so that a claim returns no snapshot.
_NO_NAMESPACE = "runstore.none"


class Claimed(NamedTuple):
    """The claimed epoch, and the seq of the event that records the claim."""

    epoch: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class Put:
    """A checkpoint to be stored."""

    address: CheckpointAddress
    parent: str
    state: State
    metadata: Payload | None
    writes: Sequence[TaskWrite] = ()

    def with_writes(self, writes: Sequence[TaskWrite]) -> Put:
        """The same checkpoint with other writes, which become this checkpoint's."""
        return replace(self, writes=[replace(write, snapshot_id="") for write in writes])


def put_of(
    address: CheckpointAddress, parent: str, drafted: Draft, writes: Sequence[TaskWrite]
) -> Put:
    """What stores a drafted checkpoint."""
    return Put(address, parent, drafted.state, drafted.metadata, writes)


def save_run(project: str, thread_id: str) -> Call[RunInfo]:
    """The run of a thread; every saver saves the same one, so that they can race."""
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
    """Claim the run, with a seq only if it is still the last; nothing else is read."""
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


def put(run: RunRef, wanted: Put) -> Call[SnapshotPut]:
    """Store a checkpoint with its writes, and the event that records it."""
    return calls.snapshots.put_snapshot(
        run,
        {
            "namespace": wanted.address.namespace,
            "snapshot_id": wanted.address.checkpoint_id,
            "parent_snapshot_id": wanted.parent,
            "plan_version_id": FORMAT,
            "reason": SnapshotReason.CHECKPOINT,
            "state": wanted.state,
            "metadata": cast(Mapping[str, Any], wanted.metadata),
        },
        [_event_of(wanted)],
        wanted.writes,
        None,
    )


def _event_of(wanted: Put) -> NewEvent:
    metadata = wanted.metadata.value() if wanted.metadata else {}
    fact = {
        "checkpoint_id": wanted.address.checkpoint_id,
        "namespace": wanted.address.namespace,
        "source": metadata.get("source"),
        "step": metadata.get("step"),
    }
    return NewEvent(EVENT_TYPE, fact, actor=ACTOR)


def latest(run: RunRef, namespace: str) -> Call[Snapshot]:
    """The latest checkpoint of a namespace, even if other clients put snapshots after it."""
    return calls.snapshots.get_snapshot(run, namespace, plan_version_id=FORMAT)
