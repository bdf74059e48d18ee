"""The asynchronous client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from runstore.aio import transport
from runstore.aio.artifacts import AsyncArtifacts
from runstore.aio.configs import AsyncConfigs
from runstore.aio.feed import AsyncFeed
from runstore.calls import runs as calls
from runstore.calls.runs import Call
from runstore.channels import (
    DEFAULT_PROJECT,
    DEFAULT_TIMEOUT,
    HEALTH_METHOD,
    SERVING,
    VERIFY_SLICE,
    Metadata,
    Stubs,
    target_of,
)
from runstore.errors import RunstoreError, from_rpc
from runstore.fields import (
    FIRST_EPOCH,
    Completion,
    EventFields,
    FilterFields,
    ForkFields,
    NewRunFields,
    OutputFields,
    RunRef,
    SnapshotFields,
    event_of,
)
from runstore.retry import Backoff, Patience
from runstore.streams.appends import DEFAULT_WINDOW
from runstore.streams.events import Following, Follows, StreamFields, StreamQuery
from runstore.values.payloads import Value
from runstore.values.runs import (
    Appended,
    Claim,
    Completed,
    Event,
    EventPage,
    NewEvent,
    Outcome,
    Output,
    Replayed,
    RunInfo,
    RunQuery,
    Snapshot,
    SnapshotPut,
    SnapshotsDeleted,
    StreamItem,
    TaskWrite,
    Verification,
)
from runstore.values.search import SearchFields, SearchHit, search
from runstore.values.statistics import Dimension, StatisticsFields, StatisticsRow, statistics

T = TypeVar("T")


def connect(
    target: str | None = None,
    *,
    project: str = DEFAULT_PROJECT,
    timeout: float = DEFAULT_TIMEOUT,
    credentials: grpc.ChannelCredentials | None = None,
    metadata: Metadata = (),
) -> AsyncClient:
    """A client of the server at `target` ("host:port"; else $RUNSTORE_TARGET, else this machine).

    `timeout` is the whole time a call may take, retries included, in seconds. Use it as
    `async with connect() as client:`; nothing is sent before the first call.
    """
    return AsyncClient(
        target, project=project, timeout=timeout, credentials=credentials, metadata=metadata
    )


class AsyncClient:
    """Calls of one project. Safe to share between tasks of one event loop."""

    def __init__(
        self,
        target: str | None = None,
        *,
        project: str = DEFAULT_PROJECT,
        timeout: float = DEFAULT_TIMEOUT,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
    ) -> None:
        self.project = project
        self._timeout = timeout
        self._is_closed = False
        self._metadata = tuple(metadata)
        self._backoff = Backoff()
        self._channel = transport.open_channel(target_of(target), credentials)
        self._stubs = Stubs(self._channel)
        self._check_health = self._channel.unary_unary(
            HEALTH_METHOD, StringValue.SerializeToString, Int32Value.FromString
        )

    async def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        self._is_closed = True
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def save_run(self, objective: str = "", **fields: Unpack[NewRunFields]) -> AsyncRun:
        """Save a run and return its handle, which writes with the run's first epoch.

        Saving the same run_id and content again returns the same run. A run that was resumed since
        belongs to whoever resumed it: the handle's writes are then `WriterFenced`.
        """
        info = await self.send(calls.save_run(self.project, objective, fields))
        return self.run(info.run_id, writer_epoch=FIRST_EPOCH)

    def run(self, run_id: str, *, writer_epoch: int | None = None) -> AsyncRun:
        """A handle on a run, without a call. Without an epoch it writes unfenced."""
        return AsyncRun(self, RunRef(self.project, run_id, writer_epoch))

    async def resume(
        self,
        run_id: str,
        *,
        namespace: str = "",
        actor: str = "",
        request_id: str = "",
        expected_seq: int | None = None,
    ) -> AsyncResumed:
        """Claim the run: earlier writers are fenced from now on.

        With `expected_seq` only where that is still the run's last seq; otherwise raise
        `SeqConflict`, and nothing is claimed.
        """
        ref = RunRef(self.project, run_id)
        claim = await self.send(calls.resume(ref, namespace, actor, request_id, expected_seq))
        return AsyncResumed(self.run(run_id, writer_epoch=claim.writer_epoch), claim)

    async def list_runs(self, query: RunQuery = RunQuery()) -> AsyncIterator[RunInfo]:  # noqa: B008 - frozen
        """Yield the project's runs, newest first unless the query says otherwise."""
        async for run in self.pages(lambda token: calls.list_runs(self.project, query, 100, token)):
            yield run

    async def list_snapshots(
        self, *, metadata: Mapping[str, Any] | None = None, with_parts: bool = False
    ) -> AsyncIterator[Snapshot]:
        """Yield the project's snapshots, newest first."""
        everything = RunRef(self.project, "")
        async for snapshot in self.pages(
            lambda token: calls.list_snapshots(everything, None, metadata, with_parts, token)
        ):
            yield snapshot

    async def search(
        self, query: str, *, page_size: int = 20, **fields: Unpack[SearchFields]
    ) -> AsyncIterator[SearchHit]:
        """Yield the events that match, best first unless asked otherwise.

        By rank these are the best of the newest 1000 matches. A query is words, "a phrase" in
        quotes, `a OR b`, `-word`.
        """
        async for hit in self.pages(
            lambda token: search(self.project, query, fields, page_size, token)
        ):
            yield hit

    async def statistics(
        self,
        by: Sequence[Dimension] = (),
        *,
        page_size: int = 100,
        **fields: Unpack[StatisticsFields],
    ) -> AsyncIterator[StatisticsRow]:
        """Yield what events used, added up, a row for each value of what they are told apart by.

        `by` is up to three of run, node, model, tool, type and day; without any there is one row.
        """
        async for row in self.pages(
            lambda token: statistics(self.project, by, fields, page_size, token)
        ):
            yield row

    async def health(self, service: str = "") -> bool:
        """Whether the server says that it (or one service of it) serves; asked once.

        Raise `Unavailable` where no server answers.
        """
        question = StringValue(value=service)
        try:
            answer = await self._check_health(
                question, timeout=self._timeout, metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        return bool(answer.value == SERVING)

    @property
    def feed(self) -> AsyncFeed:
        """The events of all runs in one order."""
        return AsyncFeed(self, self.project, self._backoff)

    @property
    def configs(self) -> AsyncConfigs:
        """Versions of prompts, tools, agents and evaluators, which runs are pinned to."""
        return AsyncConfigs(self, self.project)

    @property
    def artifacts(self) -> AsyncArtifacts:
        """Named results of runs, their bytes in an object store."""
        return AsyncArtifacts(self, self.project, self._backoff)

    def appender(self, *, window: int = DEFAULT_WINDOW) -> transport.Appender:
        """Appends pipelined over one stream, at most `window` of them unanswered; see there."""
        return transport.Appender(
            self._stubs.run_service, self._metadata, self._timeout, self._backoff, window
        )

    async def send(self, call: Call[T]) -> T:
        """Send one call, again where that is safe and may help, until the timeout."""
        deadline, attempt = time.monotonic() + self._timeout, 0
        method = self._stubs.method(call.service, call.method)
        while True:
            attempt += 1
            left = max(deadline - time.monotonic(), 0.001)
            try:
                response = await method(call.request, timeout=left, metadata=self._metadata)
            except grpc.RpcError as error:
                failure = from_rpc(error)
                delay = self._backoff.delay(attempt, failure)
                if delay is None or self._is_closed or time.monotonic() + delay > deadline:
                    raise failure from None
                await asyncio.sleep(delay)
            else:
                return call.answer(response)

    async def send_stream(
        self,
        call: Call[T],
        requests: Callable[[], AsyncGenerator[Message]],
        patience: Patience | None,
    ) -> T:
        """Send one call of many requests; from the beginning again while `patience` lasts."""
        method = self._stubs.method(call.service, call.method)
        while True:
            try:
                response = await transport.send_all(method, requests(), self._metadata)
            except grpc.RpcError as error:
                failure = from_rpc(error)
                delay = patience.delay(failure) if patience else None
                if delay is None or self._is_closed:
                    raise failure from None
                await asyncio.sleep(delay)
            else:
                return call.answer(response)

    async def stream(self, query: StreamQuery) -> AsyncGenerator[StreamItem]:
        """Yield events and marks of a run."""
        async with aclosing(self.follow(Following(query, self._backoff))) as items:
            async for item in items:
                yield item

    async def follow(self, following: Follows[T]) -> AsyncGenerator[T]:
        """Yield what a stream brings; one that breaks or falls silent is opened again."""
        while not following.is_over:
            try:
                async with aclosing(self._receive(following)) as items:
                    async for item in items:
                        yield item
            except RunstoreError as error:
                delay = following.retry_delay(error)
                if delay is None or self._is_closed:
                    raise
                await asyncio.sleep(delay)

    async def _receive(self, following: Follows[T]) -> AsyncGenerator[T]:
        method = self._stubs.method(following.service, following.method)
        call = method(following.request(), metadata=self._metadata)
        try:
            async with aclosing(transport.messages(call, following.silence_seconds)) as messages:
                async for message in messages:
                    for item in following.take(message):
                        yield item
            following.ended()
        except grpc.RpcError as error:
            raise from_rpc(error) from None
        finally:
            call.cancel()

    async def pages(self, page: Callable[[str], Call[tuple[list[T], str]]]) -> AsyncIterator[T]:
        """Yield what a listing holds, page by page."""
        token = ""
        while True:
            items, token = await self.send(page(token))
            for item in items:
                yield item
            if not token:
                return


class AsyncRun:
    """A run, and the epoch this writer holds."""

    def __init__(self, client: AsyncClient, ref: RunRef) -> None:
        self._client = client
        self._ref = ref

    @property
    def ref(self) -> RunRef:
        """The run's name and the epoch, as a value."""
        return self._ref

    @property
    def project(self) -> str:
        return self._ref.project

    @property
    def run_id(self) -> str:
        return self._ref.run_id

    @property
    def writer_epoch(self) -> int | None:
        return self._ref.writer_epoch

    async def get(self) -> RunInfo:
        """The run as it stands."""
        return await self._client.send(calls.get_run(self._ref))

    async def append(
        self,
        event: str | NewEvent,
        payload: Value = None,
        *,
        expected_seq: int | None = None,
        **fields: Unpack[EventFields],
    ) -> Appended:
        """Append one event: a `NewEvent`, or a type with its payload and further fields of one."""
        new = event_of(event, payload, fields)
        return await self._client.send(calls.append_one(self._ref, new, expected_seq))

    async def append_many(
        self, events: Sequence[NewEvent], *, expected_seq: int | None = None
    ) -> list[Appended]:
        """Append 1..1000 events, all or none."""
        return await self._client.send(calls.append(self._ref, events, expected_seq))

    async def snapshot(
        self,
        *,
        events: Sequence[NewEvent] = (),
        task_writes: Sequence[TaskWrite] = (),
        expected_seq: int | None = None,
        **fields: Unpack[SnapshotFields],
    ) -> SnapshotPut:
        """Store a snapshot, with the step's events and task writes before it: all or none."""
        return await self._client.send(
            calls.put_snapshot(self._ref, fields, events, task_writes, expected_seq)
        )

    async def put_task_writes(self, writes: Sequence[TaskWrite], *, namespace: str = "") -> bool:
        """Keep results of tasks since a snapshot; True when all were there already."""
        return await self._client.send(calls.put_task_writes(self._ref, writes, namespace))

    async def get_snapshot(
        self,
        snapshot_id: str | None = None,
        *,
        plan_version_id: str | None = None,
        at_seq: int | None = None,
        namespace: str = "",
    ) -> Snapshot:
        """One snapshot in full; the latest where nothing else is asked."""
        return await self._client.send(
            calls.get_snapshot(self._ref, namespace, snapshot_id, plan_version_id, at_seq)
        )

    async def list_snapshots(
        self,
        *,
        namespace: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        with_parts: bool = False,
    ) -> AsyncIterator[Snapshot]:
        """Yield the run's snapshots, greatest seq first."""
        async for snapshot in self._client.pages(
            lambda token: calls.list_snapshots(self._ref, namespace, metadata, with_parts, token)
        ):
            yield snapshot

    async def delete_snapshots(
        self, snapshot_ids: Sequence[str], *, namespace: str = ""
    ) -> SnapshotsDeleted:
        """Delete 1..1000 snapshots with their task writes, and the parts only they had.

        Ids that are not there are ignored. Raise `SnapshotInUse`, with nothing deleted, where a
        fork has one of them in its history.
        """
        return await self._client.send(calls.delete_snapshots(self._ref, snapshot_ids, namespace))

    async def complete(
        self,
        outcome: Outcome = Outcome.SUCCEEDED,
        payload: Value = None,
        *,
        events: Sequence[NewEvent] = (),
        final_snapshot: SnapshotFields | None = None,
        expected_seq: int | None = None,
        **fields: Unpack[OutputFields],
    ) -> Completed:
        """End the run, or revise the output of an ended one."""
        completion = Completion(outcome, payload, fields, events, final_snapshot)
        return await self._client.send(calls.complete(self._ref, completion, expected_seq))

    async def output(self, revision: int = 0) -> Output:
        """An output revision, the latest for 0."""
        return await self._client.send(calls.get_output(self._ref, revision))

    async def list_events(
        self, from_seq: int = 1, *, page_size: int = 100, **where: Unpack[FilterFields]
    ) -> EventPage:
        """A page of events in order of seq; the next one begins at its `next_from_seq`."""
        return await self._client.send(calls.list_events(self._ref, from_seq, page_size, where))

    async def events(
        self, from_seq: int = 1, *, follow: bool = False, **fields: Unpack[StreamFields]
    ) -> AsyncGenerator[Event]:
        """Yield events from `from_seq` on, each once and in order.

        With `follow` it goes on until the run's end, over lost connections and server restarts.
        `fields` are those of `StreamQuery`: types, node_ids, tags, wait_for_run.
        """
        async with aclosing(self.stream(from_seq, follow=follow, **fields)) as items:
            async for item in items:
                if isinstance(item, Event):
                    yield item

    async def stream(
        self, from_seq: int = 1, *, follow: bool = True, **fields: Unpack[StreamFields]
    ) -> AsyncGenerator[StreamItem]:
        """As `events`, with the marks between them."""
        query = StreamQuery(self._ref.project, self.run_id, from_seq, follow, **fields)
        async with aclosing(self._client.stream(query)) as items:
            async for item in items:
                yield item

    async def replay(
        self, at_seq: int | None = None, *, namespace: str = "", page_size: int = 1000
    ) -> Replayed:
        """The run as it stood right after an event, the last one by default; nothing changes."""
        return await self._client.send(calls.replay(self._ref, at_seq, namespace, page_size))

    async def fork(
        self, at_seq: int = 0, *, objective: str | None = None, **fields: Unpack[ForkFields]
    ) -> AsyncRun:
        """A new run that begins with this one's history up to `at_seq`, all of it for 0."""
        info = await self._client.send(calls.fork(self._ref, at_seq, objective, fields))
        return self._client.run(info.run_id, writer_epoch=FIRST_EPOCH)

    async def verify(
        self,
        on_progress: Callable[[Verification], None] | None = None,
        *,
        slice_size: int = VERIFY_SLICE,
    ) -> Verification:
        """Check the hash chain slice by slice; the last slice's findings, all events counted."""
        checked, from_seq = 0, 1
        while True:
            found = await self._client.send(calls.verify(self._ref, from_seq, slice_size))
            checked, from_seq = checked + found.checked_events, found.next_from_seq
            found = calls.counted(found, checked)
            if on_progress:
                on_progress(found)
            if not from_seq:
                return found


@dataclass(frozen=True, slots=True)
class AsyncResumed:
    """A claimed run: the handle that holds the new epoch, and what the claim returned."""

    run: AsyncRun
    claim: Claim

    @property
    def snapshot(self) -> Snapshot | None:
        return self.claim.snapshot

    @property
    def pending_node_ids(self) -> tuple[str, ...]:
        return self.claim.pending_node_ids

    @property
    def task_writes(self) -> tuple[TaskWrite, ...]:
        return self.claim.task_writes

    async def events(self) -> AsyncIterator[Event]:
        """Yield all events after the snapshot, run.resumed included."""
        for event in self.claim.events:
            yield event
        from_seq = self.claim.next_from_seq
        while from_seq:
            page = await self.run.list_events(from_seq, page_size=1000)
            for event in page.events:
                yield event
            from_seq = page.next_from_seq
