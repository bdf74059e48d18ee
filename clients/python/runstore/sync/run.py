# Generated from aio/run.py; see generate_sync.py.
"""A run, as a synchronous client reads and writes it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from os import PathLike
from typing import Unpack

from runstore import calls
from runstore.arguments import only_known
from runstore.files import Writable, written
from runstore.streams.archives import ArchiveDownload
from runstore.streams.events import EventStream
from runstore.sync import transport
from runstore.sync.connection import Connection
from runstore.values.events import (
    Appended,
    Event,
    EventFields,
    EventPage,
    FilterFields,
    NewEvent,
    event_of,
)
from runstore.values.outputs import Completion, Outcome, Output, OutputFields
from runstore.values.payloads import Value
from runstore.values.runs import (
    FIRST_EPOCH,
    Claim,
    Completed,
    ForkFields,
    Replayed,
    RunInfo,
    RunRef,
    Verification,
)
from runstore.values.snapshots import (
    Snapshot,
    SnapshotFields,
    SnapshotListing,
    SnapshotPut,
    SnapshotsDeleted,
    TaskWrite,
)
from runstore.values.streams import StreamFields, StreamItem, StreamQuery


class Run:
    """A run, and the epoch that this writer holds."""

    def __init__(self, connection: Connection, ref: RunRef) -> None:
        self._connection = connection
        self._ref = ref

    @property
    def ref(self) -> RunRef:
        """The run's name and the epoch, as a value."""
        return self._ref

    def __repr__(self) -> str:
        epoch = "" if self.writer_epoch is None else f", epoch {self.writer_epoch}"
        return f"<{type(self).__name__} {self.run_id!r} of project {self.project!r}{epoch}>"

    @property
    def project(self) -> str:
        """The project of the run."""
        return self._ref.project

    @property
    def run_id(self) -> str:
        """The run's id, unique in its project."""
        return self._ref.run_id

    @property
    def writer_epoch(self) -> int | None:
        """The epoch that this handle writes with; None if its writes are not fenced."""
        return self._ref.writer_epoch

    def get(self) -> RunInfo:
        """The current state of the run."""
        return self._connection.send(calls.runs.get_run(self._ref))

    def append(
        self,
        event: str | NewEvent,
        payload: Value = None,
        *,
        expected_seq: int | None = None,
        **fields: Unpack[EventFields],
    ) -> Appended:
        """Append one event: a `NewEvent`, or a type with a payload and further fields."""
        new = event_of(event, payload, fields)
        return self._connection.append(calls.events.append_event(self._ref, new, expected_seq))

    def append_many(
        self, events: Sequence[NewEvent], *, expected_seq: int | None = None
    ) -> list[Appended]:
        """Append 1..1000 events, all or none."""
        return self._connection.send(calls.events.append_events(self._ref, events, expected_seq))

    def snapshot(
        self,
        *,
        events: Sequence[NewEvent] = (),
        task_writes: Sequence[TaskWrite] = (),
        expected_seq: int | None = None,
        **fields: Unpack[SnapshotFields],
    ) -> SnapshotPut:
        """Store a snapshot, with the step's events and task writes before it: all or none."""
        return self._connection.send(
            calls.snapshots.put_snapshot(self._ref, fields, events, task_writes, expected_seq)
        )

    def put_task_writes(self, writes: Sequence[TaskWrite], *, namespace: str = "") -> bool:
        """Store results of tasks that finished after a snapshot; True if all were stored before."""
        return self._connection.send(calls.snapshots.put_task_writes(self._ref, writes, namespace))

    def get_snapshot(
        self,
        snapshot_id: str | None = None,
        *,
        plan_version_id: str | None = None,
        at_seq: int | None = None,
        namespace: str = "",
    ) -> Snapshot:
        """One snapshot in full, by default the latest."""
        return self._connection.send(
            calls.snapshots.get_snapshot(self._ref, namespace, snapshot_id, plan_version_id, at_seq)
        )

    def list_snapshots(self, **fields: Unpack[SnapshotListing]) -> Iterator[Snapshot]:
        """Yield the run's snapshots, greatest seq first."""
        for snapshot in self._connection.pages(
            lambda token: calls.snapshots.list_snapshots(self._ref, fields, token)
        ):
            yield snapshot

    def delete_snapshots(
        self, snapshot_ids: Sequence[str], *, namespace: str = ""
    ) -> SnapshotsDeleted:
        """Delete 1..1000 snapshots with their task writes, and the parts only they used.

        Unknown ids are ignored. Raise `SnapshotInUse`, and delete nothing, if a fork has one of
        them in its history.
        """
        return self._connection.send(
            calls.snapshots.delete_snapshots(self._ref, snapshot_ids, namespace)
        )

    def complete(
        self,
        outcome: Outcome = Outcome.SUCCEEDED,
        payload: Value = None,
        *,
        events: Sequence[NewEvent] = (),
        final_snapshot: SnapshotFields | None = None,
        expected_seq: int | None = None,
        **fields: Unpack[OutputFields],
    ) -> Completed:
        """End the run, or revise the output of one that has ended."""
        completion = Completion(outcome, payload, fields, events, final_snapshot)
        return self._connection.send(calls.runs.complete_run(self._ref, completion, expected_seq))

    def output(self, revision: int = 0) -> Output:
        """A revision of the output; 0 is the latest."""
        return self._connection.send(calls.outputs.get_output(self._ref, revision))

    def list_events(
        self,
        from_seq: int = 1,
        *,
        page_size: int = 100,
        read_archive: bool = False,
        **where: Unpack[FilterFields],
    ) -> EventPage:
        """A page of events in order of seq; the next one begins at its `next_from_seq`."""
        call = calls.events.list_events(self._ref, from_seq, page_size, read_archive, where)
        return self._connection.send(call)

    def events(
        self, from_seq: int = 1, *, follow: bool = False, **fields: Unpack[StreamFields]
    ) -> Generator[Event]:
        """Yield events from `from_seq` on, each once and in order.

        With `follow`, continue until the run's end, through lost connections and server restarts.
        `fields` are those of `StreamQuery`: types, node_ids, tags, wait_for_run, read_archive.
        """
        with closing(self.stream(from_seq, follow=follow, **fields)) as items:
            for item in items:
                if isinstance(item, Event):
                    yield item

    def stream(
        self, from_seq: int = 1, *, follow: bool = True, **fields: Unpack[StreamFields]
    ) -> Generator[StreamItem]:
        """As `events`, with the progress messages between them."""
        only_known(fields, StreamFields)
        query = StreamQuery(self._ref.project, self.run_id, from_seq, follow, **fields)
        stream = EventStream(query, self._connection.backoff)
        with closing(self._connection.follow(stream)) as items:
            for item in items:
                yield item

    def replay(
        self,
        at_seq: int | None = None,
        *,
        namespace: str = "",
        page_size: int = 1000,
        read_archive: bool = False,
    ) -> Replayed:
        """The run as it stood right after an event, by default the last; changes nothing."""
        call = calls.runs.replay_run(self._ref, at_seq, namespace, page_size, read_archive)
        return self._connection.send(call)

    def fork(
        self, at_seq: int = 0, *, objective: str | None = None, **fields: Unpack[ForkFields]
    ) -> Run:
        """A new run that begins with this one's history up to `at_seq`, or all of it for 0."""
        info = self._connection.send(calls.runs.fork_run(self._ref, at_seq, objective, fields))
        ref = RunRef(self.project, info.run_id, FIRST_EPOCH)
        return Run(self._connection, ref)

    def verify(
        self,
        on_progress: Callable[[Verification], None] | None = None,
        *,
        slice_size: int = calls.runs.VERIFY_SLICE,
        read_archive: bool = False,
    ) -> Verification:
        """Check the hash chain slice by slice.

        Return what the last slice found, with the numbers of events in all slices.
        """
        checked, erased, from_seq = 0, 0, 1
        while True:
            call = calls.runs.verify_run(self._ref, from_seq, slice_size, read_archive)
            found = self._connection.send(call)
            checked, from_seq = checked + found.checked_events, found.next_from_seq
            erased += found.erased_events
            found = replace(found, checked_events=checked, erased_events=erased)
            if on_progress:
                on_progress(found)
            if not from_seq:
                return found

    def export(
        self,
        target: Writable | PathLike[str],
        on_progress: Callable[[int], None] | None = None,
    ) -> int:
        """Write the run's archive, a tar file, to a path or a writable; return its size.

        A file appears at the path once it is complete. An export that breaks is not continued.
        """
        stream = ArchiveDownload(self._ref, self._connection.backoff)
        with written(target) as file, closing(self._connection.follow(stream)) as chunks:
            for chunk in chunks:
                transport.run_blocking(file.write, chunk)
                if on_progress:
                    on_progress(stream.received)
        return stream.received


@dataclass(frozen=True, slots=True)
class Resumed:
    """A claimed run: the handle with the new epoch, and what the claim returned."""

    run: Run
    claim: Claim

    @property
    def snapshot(self) -> Snapshot | None:
        """The latest snapshot; None if there is none."""
        return self.claim.snapshot

    @property
    def pending_node_ids(self) -> tuple[str, ...]:
        """The snapshot's nodes that have not run yet."""
        return self.claim.pending_node_ids

    @property
    def task_writes(self) -> tuple[TaskWrite, ...]:
        """The task writes stored after the snapshot."""
        return self.claim.task_writes

    def events(self) -> Iterator[Event]:
        """Yield all events after the snapshot, including run.resumed."""
        for event in self.claim.events:
            yield event
        from_seq = self.claim.next_from_seq
        while from_seq:
            page = self.run.list_events(from_seq, page_size=1000)
            for event in page.events:
                yield event
            from_seq = page.next_from_seq
