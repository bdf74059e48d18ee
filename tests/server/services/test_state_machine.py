"""Random histories of several runs: the service and a small model give the same answers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import grpc
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from runstore.errors import from_rpc, from_status
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event, EventFilter
from runstore.v1.outputs_pb2 import Output
from runstore.v1.payloads_pb2 import Payload
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore.v1.runs_pb2 import Run, RunStatus
from runstore.v1.snapshots_pb2 import Snapshot, TaskWrite
from runstore_storage.contract.heads import Outcome
from state_machines import run_histories

RUNS = ("a", "b", "c")
IDS = st.sampled_from([f"e{number}" for number in range(6)])
TYPES = st.sampled_from(["t", "u"])
PARTS = st.sampled_from(["1", "2", '{"k":1.0}'])
SEQ_OFFSETS = st.sampled_from([None, 0, 0, -1, 1])
EPOCH_OFFSETS = st.sampled_from([None, 0, 0, -1, 1])
APPENDS = st.lists(
    st.tuples(st.sampled_from(RUNS), IDS, TYPES, EPOCH_OFFSETS), min_size=1, max_size=6
)
READS = ("Get", "List", "Verify")
REASONS = {1: None, 2: ("run.paused", "PAUSED"), 3: ("run.replanned", "RUNNING"), 4: None}


def appended_or_reason(answer: Any) -> Any:
    """The seq, and whether it was known; or the reason of the refusal."""
    if answer.HasField("error"):
        return from_status(answer.error).reason
    return answer.appended.seq, answer.appended.deduplicated


class Refused(Exception):
    pass


@dataclass
class ModelRun:
    """What the contract says of one run, in the plainest words."""

    events: list[tuple[str, str]] = field(default_factory=list)
    status: str = "RUNNING"
    epoch: int = 1
    snapshots: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    puts: dict[str, tuple[Any, tuple[str, int]]] = field(default_factory=dict)
    writes: dict[tuple[str, str, int], str] = field(default_factory=dict)
    outputs: list[tuple[int, str]] = field(default_factory=list)
    resumes: dict[str, int] = field(default_factory=dict)

    @property
    def is_completed(self) -> bool:
        return bool(self.outputs)

    def stands(self, run_id: str) -> tuple[str, int, str, int]:
        return run_id, len(self.events), self.status, self.epoch

    def known(self, events: list[tuple[str, str]]) -> list[int]:
        ids = {event_id: seq for seq, (event_id, _) in enumerate(self.events, 1)}
        there = [event_id in ids for event_id, _ in events]
        if not any(there):
            return []
        if not all(there) or any(
            self.events[ids[event_id] - 1] != (event_id, type_) for event_id, type_ in events
        ):
            raise Refused("IDEMPOTENCY_MISMATCH")
        return [ids[event_id] for event_id, _ in events]

    def check_epoch(self, epoch: int | None) -> None:
        if epoch is not None and epoch != self.epoch:
            raise Refused("WRITER_FENCED" if epoch < self.epoch else "WRITER_EPOCH_UNKNOWN")

    def guard(self, epoch: int | None, expected: int | None) -> None:
        self.check_epoch(epoch)
        if self.is_completed:
            raise Refused("RUN_COMPLETED")
        if expected is not None and expected != len(self.events):
            raise Refused("SEQ_CONFLICT")

    def append(
        self, events: list[tuple[str, str]], epoch: int | None, expected: int | None
    ) -> tuple[list[int], bool]:
        if known := self.known(events):
            return known, True
        self.guard(epoch, expected)
        first = len(self.events) + 1
        self.events += events
        return list(range(first, first + len(events))), False

    def put(
        self,
        snapshot_id: str,
        reason: int,
        seq: int,
        state: dict[str, str],
        events: list[tuple[str, str]],
        epoch: int | None,
        expected: int | None,
    ) -> tuple[int, bool]:
        body = (reason, seq, state, events)
        if snapshot_id in self.puts:
            before, (_, at) = self.puts[snapshot_id]
            if before != body:
                raise Refused("IDEMPOTENCY_MISMATCH")
            return at, True
        known = self.known(events)
        self.guard(epoch, expected)
        added = [] if known else list(events)
        announced = REASONS[reason]
        if announced:
            added.append(("", announced[0]))
        at = seq or len(self.events) + len(added)
        if at > len(self.events) + len(added):
            raise Refused("SNAPSHOT_AHEAD")
        self.events += added
        if announced:
            self.status = announced[1]
        self.snapshots[snapshot_id] = (at, state)
        self.puts[snapshot_id] = (body, (snapshot_id, at))
        return at, False

    def write(self, write: tuple[str, str, int], text: str, epoch: int | None) -> bool:
        if write[0] and write[0] not in self.snapshots:
            raise Refused("SNAPSHOT_NOT_FOUND")
        before = self.writes.get(write)
        if before == text:
            return True
        if before is not None and write[2] >= 0:
            raise Refused("IDEMPOTENCY_MISMATCH")
        self.guard(epoch, None)
        self.writes[write] = text
        return False

    def delete(self, snapshot_ids: list[str], epoch: int | None) -> tuple[int, int]:
        self.check_epoch(epoch)
        gone = self.snapshots.keys() & snapshot_ids
        writes = [write for write in self.writes if write[0] in gone]
        for name in gone:
            del self.snapshots[name]
        for write in writes:
            del self.writes[write]
        return len(gone), len(writes)

    def resume(self, request_id: str, expected: int | None) -> int:
        if request_id in self.resumes:
            return self.resumes[request_id]
        if self.is_completed:
            raise Refused("RUN_COMPLETED")
        if expected is not None and expected != len(self.events):
            raise Refused("SEQ_CONFLICT")
        self.epoch += 1
        self.status = "RUNNING"
        self.events.append(("", "run.resumed"))
        self.resumes[request_id] = self.epoch
        return self.epoch

    def complete(
        self, outcome: int, text: str, epoch: int | None, expected: int | None
    ) -> tuple[int, bool]:
        if (outcome, text) in self.outputs:
            return self.outputs.index((outcome, text)) + 1, True
        self.check_epoch(epoch)
        if self.is_completed and outcome != self.outputs[0][0]:
            raise Refused("OUTCOME_CONFLICT")
        if expected is not None and expected != len(self.events):
            raise Refused("SEQ_CONFLICT")
        if not self.is_completed:
            self.events.append(("", "run.completed"))
            self.status = Outcome(outcome).name
        self.outputs.append((outcome, text))
        return len(self.outputs), False

    def latest(self) -> str:
        return max(self.snapshots, key=lambda name: (self.snapshots[name][0], name))


class Histories(RuleBasedStateMachine):
    """Every step asks both and compares; `stub` and `loop` are set by the test."""

    stub: Any
    loop: asyncio.AbstractEventLoop

    @initialize()
    def begin(self) -> None:
        """Start from live, non-empty runs."""
        self.project = f"machine/{uuid4().hex}"
        self.models = {run_id: ModelRun() for run_id in RUNS}
        self.is_checked = False
        for number, run_id in enumerate(RUNS):
            self.call("SaveRun", rpc.SaveRunRequest(run_id=run_id))
            for place in range(number):
                self.append(run_id, [f"first{place}"], "t", None, None)

    def call(self, method: str, request: Any) -> Any:
        request.project = self.project
        self.is_checked = self.is_checked and method.startswith(READS)

        async def send() -> Any:
            try:
                return await getattr(self.stub, method)(request)
            except grpc.RpcError as error:
                raise Refused(from_rpc(error).reason) from None

        coroutine: Coroutine[Any, Any, Any] = send()
        return self.loop.run_until_complete(coroutine)

    def both(self, model: Any, method: str, request: Any, read: Any) -> None:
        """The model's answer or refusal must be the service's."""

        def outcome(ask: Any) -> Any:
            try:
                return ask()
            except Refused as refusal:
                return str(refusal)

        expected = outcome(model)
        found = outcome(lambda: read(self.call(method, request)))
        assert found == expected, (method, request)

    def guards(self, run_id: str, epoch: int | None, expected: int | None) -> dict[str, int]:
        """Offsets from what is right, as the request's fields."""
        model, fields = self.models[run_id], {}
        if epoch is not None:
            fields["writer_epoch"] = max(model.epoch + epoch, 0)
        if expected is not None:
            fields["expected_seq"] = max(len(model.events) + expected, 0)
        return fields

    @rule(
        run_id=st.sampled_from(RUNS),
        ids=st.lists(IDS, min_size=1, max_size=3, unique=True),
        type_=TYPES,
        epoch=EPOCH_OFFSETS,
        expected=SEQ_OFFSETS,
    )
    def append(
        self, run_id: str, ids: list[str], type_: str, epoch: int | None, expected: int | None
    ) -> None:
        guards = self.guards(run_id, epoch, expected)
        events = [(event_id, type_) for event_id in ids]
        self.both(
            lambda: self.models[run_id].append(
                events, guards.get("writer_epoch"), guards.get("expected_seq")
            ),
            "AppendEvents",
            rpc.AppendEventsRequest(
                run_id=run_id, events=[Event(event_id=e, type=t) for e, t in events], **guards
            ),
            lambda answer: ([each.seq for each in answer.events], answer.deduplicated),
        )

    @rule(run_id=st.sampled_from(RUNS), event_id=IDS, type_=TYPES, epoch=EPOCH_OFFSETS)
    def append_one(self, run_id: str, event_id: str, type_: str, epoch: int | None) -> None:
        guards = self.guards(run_id, epoch, None)
        self.both(
            lambda: self.models[run_id].append(
                [(event_id, type_)], guards.get("writer_epoch"), None
            ),
            "AppendEvent",
            rpc.AppendEventRequest(
                run_id=run_id, event=Event(event_id=event_id, type=type_), **guards
            ),
            lambda answer: ([answer.seq], answer.deduplicated),
        )

    @rule(
        run_id=st.sampled_from(RUNS),
        snapshot_id=st.sampled_from(["s1", "s2", "s3"]),
        reason=st.sampled_from(sorted(REASONS)),
        seq=st.sampled_from([0, 0, 1, 5]),
        state=st.dictionaries(st.sampled_from(["x", "y"]), PARTS, max_size=2),
        ids=st.lists(IDS, max_size=2, unique=True),
        epoch=EPOCH_OFFSETS,
        expected=SEQ_OFFSETS,
    )
    def put_snapshot(
        self,
        run_id: str,
        snapshot_id: str,
        reason: int,
        seq: int,
        state: dict[str, str],
        ids: list[str],
        epoch: int | None,
        expected: int | None,
    ) -> None:
        guards = self.guards(run_id, epoch, expected)
        events = [(event_id, "t") for event_id in ids]
        self.both(
            lambda: self.models[run_id].put(
                snapshot_id,
                reason,
                seq,
                state,
                events,
                guards.get("writer_epoch"),
                guards.get("expected_seq"),
            ),
            "PutSnapshot",
            rpc.PutSnapshotRequest(
                run_id=run_id,
                snapshot=Snapshot(
                    snapshot_id=snapshot_id,
                    reason=reason,
                    seq=seq,
                    state={name: Payload(json=text) for name, text in state.items()},
                ),
                events=[Event(event_id=e, type=t) for e, t in events],
                **guards,
            ),
            lambda answer: (answer.seq, answer.deduplicated),
        )

    @rule(
        run_id=st.sampled_from(RUNS),
        snapshot_id=st.sampled_from(["", "s1", "s2", "s3"]),
        task_id=st.sampled_from(["p", "q"]),
        index=st.sampled_from([-1, 0, 1]),
        text=PARTS,
        epoch=EPOCH_OFFSETS,
    )
    def put_task_write(
        self,
        run_id: str,
        snapshot_id: str,
        task_id: str,
        index: int,
        text: str,
        epoch: int | None,
    ) -> None:
        guards = self.guards(run_id, epoch, None)
        write = TaskWrite(
            snapshot_id=snapshot_id, task_id=task_id, index=index, payload=Payload(json=text)
        )
        self.both(
            lambda: self.models[run_id].write(
                (snapshot_id, task_id, index), text, guards.get("writer_epoch")
            ),
            "PutTaskWrites",
            rpc.PutTaskWritesRequest(run_id=run_id, writes=[write], **guards),
            lambda answer: answer.deduplicated,
        )

    @rule(
        run_id=st.sampled_from(RUNS),
        snapshot_ids=st.lists(st.sampled_from(["s1", "s2", "s3", "none"]), min_size=1),
        epoch=EPOCH_OFFSETS,
    )
    def delete_snapshots(self, run_id: str, snapshot_ids: list[str], epoch: int | None) -> None:
        guards = self.guards(run_id, epoch, None)
        self.both(
            lambda: self.models[run_id].delete(snapshot_ids, guards.get("writer_epoch")),
            "DeleteSnapshots",
            rpc.DeleteSnapshotsRequest(run_id=run_id, snapshot_ids=snapshot_ids, **guards),
            lambda answer: (answer.deleted_snapshots, answer.deleted_task_writes),
        )

    @rule(
        run_id=st.sampled_from(RUNS),
        request_id=st.sampled_from(["r1", "r2", "r3"]),
        expected=SEQ_OFFSETS,
    )
    def resume(self, run_id: str, request_id: str, expected: int | None) -> None:
        guards = self.guards(run_id, None, expected)
        self.both(
            lambda: self.models[run_id].resume(request_id, guards.get("expected_seq")),
            "ResumeRun",
            rpc.ResumeRunRequest(run_id=run_id, request_id=request_id, **guards),
            lambda answer: answer.writer_epoch,
        )

    @precondition(lambda self: any(len(model.events) > 4 for model in self.models.values()))
    @rule(
        run_id=st.sampled_from(RUNS),
        outcome=st.sampled_from([1, 1, 2, 3]),
        text=PARTS,
        epoch=EPOCH_OFFSETS,
        expected=SEQ_OFFSETS,
    )
    def complete(
        self, run_id: str, outcome: int, text: str, epoch: int | None, expected: int | None
    ) -> None:
        guards = self.guards(run_id, epoch, expected)
        self.both(
            lambda: self.models[run_id].complete(
                outcome, text, guards.get("writer_epoch"), guards.get("expected_seq")
            ),
            "CompleteRun",
            rpc.CompleteRunRequest(
                run_id=run_id, outcome=outcome, output=Output(payload=Payload(json=text)), **guards
            ),
            lambda answer: (answer.revision, answer.deduplicated),
        )

    @rule(run_id=st.sampled_from(RUNS))
    def save_again(self, run_id: str) -> None:
        assert self.call("SaveRun", rpc.SaveRunRequest(run_id=run_id)).deduplicated

    @rule(run_id=st.sampled_from(RUNS), from_seq=st.integers(0, 12), limit=st.integers(1, 5))
    def list_events(self, run_id: str, from_seq: int, limit: int) -> None:
        request = rpc.ListEventsRequest(run_id=run_id, from_seq=from_seq, page_size=limit)
        answer = self.call("ListEvents", request)
        first = max(from_seq, 1)
        expected = self.models[run_id].events[first - 1 : first - 1 + limit]
        assert [event.type for event in answer.events] == [type_ for _, type_ in expected]
        assert [event.seq for event in answer.events] == list(range(first, first + len(expected)))

    @rule(run_id=st.sampled_from(RUNS), from_seq=st.integers(0, 12), type_=st.none() | TYPES)
    def stream_events(self, run_id: str, from_seq: int, type_: str | None) -> None:
        model = self.models[run_id]
        request = rpc.StreamEventsRequest(
            project=self.project,
            run_id=run_id,
            from_seq=from_seq,
            filter=EventFilter(types=[type_] if type_ else []),
        )

        async def read() -> tuple[list[tuple[int, str]], str]:
            seen, last = [], ""
            async for message in self.stub.StreamEvents(request):
                last = str(message.WhichOneof("message"))
                seen += [(event.seq, event.type) for event in message.events.events]
            return seen, last

        expected = [
            (seq, each)
            for seq, (_, each) in enumerate(model.events, 1)
            if seq >= from_seq and type_ in (None, each)
        ]
        end = "end_of_run" if model.is_completed else "caught_up"
        assert self.loop.run_until_complete(read()) == (expected, end)

    def expected_of(
        self, appends: list[tuple[str, str, str, int | None]]
    ) -> tuple[list[rpc.AppendEventRequest], list[Any]]:
        """The requests of these appends, and what the model makes of each."""
        requests, expected = [], []
        for run_id, event_id, type_, epoch in appends:
            guards = self.guards(run_id, epoch, None)
            append = rpc.AppendEventRequest(
                project=self.project,
                run_id=run_id,
                event=Event(event_id=event_id, type=type_),
                **guards,
            )
            requests.append(append)
            try:
                seqs, known = self.models[run_id].append(
                    [(event_id, type_)], guards.get("writer_epoch"), None
                )
                expected.append((seqs[0], known))
            except Refused as refusal:
                expected.append(str(refusal))
        self.is_checked = False
        return requests, expected

    @rule(appends=APPENDS)
    def append_stream(self, appends: list[tuple[str, str, str, int | None]]) -> None:
        requests, expected = self.expected_of(appends)
        stream = [rpc.AppendEventStreamRequest(append=each) for each in requests]

        async def send() -> list[Any]:
            return [each async for each in self.stub.AppendEventStream(iter(stream))]

        answers = self.loop.run_until_complete(send())
        assert list(map(appended_or_reason, answers)) == expected

    @rule(appends=APPENDS)
    def append_many(self, appends: list[tuple[str, str, str, int | None]]) -> None:
        requests, expected = self.expected_of(appends)
        request = rpc.AppendManyRequest(project=self.project, appends=requests)

        async def send() -> Any:
            return await self.stub.AppendMany(request)

        answer = self.loop.run_until_complete(send())
        assert list(map(appended_or_reason, answer.results)) == expected

    @rule(run_id=st.sampled_from(RUNS), at_seq=st.none() | st.integers(0, 12))
    def get_snapshot(self, run_id: str, at_seq: int | None) -> None:
        model = self.models[run_id]

        def expected() -> tuple[str, int, dict[str, str], list[tuple[str, int, str]]]:
            fitting = {
                name: seq
                for name, (seq, _) in model.snapshots.items()
                if at_seq is None or seq <= at_seq
            }
            if not fitting:
                raise Refused("SNAPSHOT_NOT_FOUND")
            name = max(fitting, key=lambda each: (fitting[each], each))
            writes = sorted(
                (task, index, text)
                for (snapshot, task, index), text in model.writes.items()
                if snapshot == name
            )
            return name, fitting[name], model.snapshots[name][1], writes

        request = rpc.GetSnapshotRequest(run_id=run_id)
        if at_seq is not None:
            request.at_seq = at_seq
        self.both(
            expected,
            "GetSnapshot",
            request,
            lambda answer: (
                answer.snapshot.snapshot_id,
                answer.snapshot.seq,
                {name: part.json for name, part in answer.snapshot.state.items()},
                [(each.task_id, each.index, each.payload.json) for each in answer.task_writes],
            ),
        )

    @rule(run_id=st.sampled_from(RUNS), revision=st.integers(0, 3))
    def get_output(self, run_id: str, revision: int) -> None:
        outputs = self.models[run_id].outputs

        def expected() -> tuple[int, str]:
            if not outputs or revision > len(outputs):
                raise Refused("OUTPUT_NOT_FOUND")
            return outputs[revision - 1]

        self.both(
            expected,
            "GetOutput",
            rpc.GetOutputRequest(run_id=run_id, revision=revision),
            lambda answer: (answer.output.outcome, answer.output.payload.json),
        )

    @rule(run_id=st.sampled_from(RUNS))
    def list_snapshots(self, run_id: str) -> None:
        snapshots = self.models[run_id].snapshots
        answer = self.call("ListSnapshots", rpc.ListSnapshotsRequest(run_id=run_id))
        assert [each.snapshot_id for each in answer.snapshots] == sorted(
            snapshots, key=lambda name: (snapshots[name][0], name), reverse=True
        )

    @rule(run_id=st.sampled_from(RUNS))
    def verify(self, run_id: str) -> None:
        answer = self.call("VerifyRun", rpc.VerifyRunRequest(run_id=run_id))
        assert (answer.verified, answer.checked_events) == (
            True,
            len(self.models[run_id].events),
        )

    @rule(run_id=st.sampled_from(RUNS))
    def get_run(self, run_id: str) -> None:
        run = self.call("GetRun", rpc.GetRunRequest(run_id=run_id)).run
        assert self.stands(run) == self.models[run_id].stands(run_id)

    @precondition(lambda self: not getattr(self, "is_checked", True))
    @invariant()
    def every_run_stands_where_the_model_says(self) -> None:
        runs = self.call("ListRuns", rpc.ListRunsRequest()).runs
        expected = [self.models[run_id].stands(run_id) for run_id in reversed(RUNS)]
        assert [self.stands(run) for run in runs] == expected
        self.is_checked = True

    def stands(self, run: Run) -> tuple[str, int, str, int]:
        status = RunStatus.Name(run.status).removeprefix("RUN_STATUS_")
        return run.run_id, run.last_seq, status, run.writer_epoch


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_histories_of_several_runs_answer_as_the_model_does(
    database_url: str, db_schema: str
) -> None:
    stubs = {"stub": RunServiceStub}
    run_histories(Histories, database_url, db_schema, stubs, examples=60, steps=40)
