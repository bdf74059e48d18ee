"""The checkpoint saver: what LangGraph calls."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from runstore.channels import DEFAULT_PROJECT, DEFAULT_TIMEOUT, Metadata
from runstore.langgraph.addresses import (
    Place,
    checkpoint_id_of,
    place_of,
    stated_place_of,
    thread_of,
)
from runstore.langgraph.checkpoints import Drafting
from runstore.langgraph.halves import Halves
from runstore.langgraph.pending import Writing
from runstore.langgraph.sessions import MAX_SESSIONS
from runstore.langgraph.tuples import listing_of

if TYPE_CHECKING:
    from langgraph.checkpoint.base import DeltaChannelHistory

KEEP_LATEST = "keep_latest"
DELETE = "delete"


class RunstoreSaver(BaseCheckpointSaver[str]):
    """Saves LangGraph checkpoints in a runstore; a thread is a run, a checkpoint a snapshot.

    Safe to share between threads, tasks and event loops. Writers of one thread are fenced: who
    read a thread before another saver wrote to it gets `ThreadTakenOver` instead of forking it
    silently. Calls raise what `runstore.errors` lists.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        project: str = DEFAULT_PROJECT,
        timeout: float = DEFAULT_TIMEOUT,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
        serde: SerializerProtocol | None = None,
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        """A saver for the server at `target` as `runstore.connect` takes it.

        `timeout` is the whole time a call may take, retries included, in seconds. At most
        `max_sessions` threads are remembered; one that was forgotten has to be read again before it
        is written. Nothing is sent before the first call.
        """
        super().__init__(serde=serde)
        self._halves = Halves(
            target,
            project,
            timeout=timeout,
            credentials=credentials,
            metadata=metadata,
            max_sessions=max_sessions,
        )

    def close(self) -> None:
        """Close the connection of the synchronous methods; calls in flight are cancelled."""
        self._halves.close()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._halves.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint a config names, the latest of its namespace where it names none."""
        return self._halves.sync().threads.get(place_of(config), self.serde)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return await self._halves.aio().threads.get(place_of(config), self.serde)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, newest first; without a config those of all threads of the project."""
        asked = listing_of(config, filter, before)
        yield from self._halves.sync().listings.tuples(asked, limit, self.serde)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[CheckpointTuple]:
        """As `list`."""
        asked = listing_of(config, filter, before)
        async with aclosing(self._halves.aio().listings.tuples(asked, limit, self.serde)) as found:
            async for each in found:
                yield each

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Writes of delta channels before a checkpoint, back to their last stored values."""
        place = place_of(config)
        return self._halves.sync().threads.history(place, channels, self.serde)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """As `get_delta_channel_history`."""
        place = place_of(config)
        return await self._halves.aio().threads.history(place, channels, self.serde)

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint after the one the config names, and return its own config.

        Raise `ThreadTakenOver` where another writer continued the thread since it was read.
        """
        base, place, asked = self._put(config, checkpoint, metadata, new_versions)
        self._halves.sync().threads.put(place, base.checkpoint_id, asked)
        return place.config()

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        base, place, asked = self._put(config, checkpoint, metadata, new_versions)
        await self._halves.aio().threads.put(place, base.checkpoint_id, asked)
        return place.config()

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> tuple[Place, Place, Drafting]:
        base = place_of(config)
        place = base.at(checkpoint_id_of({"checkpoint_id": checkpoint["id"]}))
        whole = get_checkpoint_metadata(config, metadata)
        return base, place, Drafting(self.serde, checkpoint, whole, new_versions, {})

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote after the checkpoint the config names.

        Of a task's regular writes the first of each position stays; of special ones (errors,
        interrupts) the last. Writes that come before their checkpoint is put are stored with it.
        """
        asked = Writing(self.serde, writes, task_id, task_path)
        self._halves.sync().threads.put_writes(stated_place_of(config), asked)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As `put_writes`."""
        asked = Writing(self.serde, writes, task_id, task_path)
        await self._halves.aio().threads.put_writes(stated_place_of(config), asked)

    def get_next_version(
        self,
        current: str | int | None,
        channel: None,  # noqa: ARG002 - LangGraph passes it
    ) -> str:
        """The next version of a channel: greater, and another one on every branch."""
        number = int(str(current).partition(".")[0]) if current is not None else 0
        return f"{number + 1:032}.{secrets.randbelow(10**16):016}"

    # Upkeep

    def delete_thread(self, thread_id: str) -> None:
        """Delete all checkpoints and writes of a thread, and fence whoever works on it.

        The run and its events stay as the record, and the thread may be used again.
        """
        self._halves.sync().upkeep.delete_thread(thread_of(thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await self._halves.aio().upkeep.delete_thread(thread_of(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints, with their writes, whose metadata has one of the `run_id`s."""
        self._halves.sync().upkeep.delete_for_runs(run_ids)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await self._halves.aio().upkeep.delete_for_runs(run_ids)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints and writes of a thread into another one, ids and order kept."""
        source, target = thread_of(source_thread_id), thread_of(target_thread_id)
        self._halves.sync().upkeep.copy_thread(source, target)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        source, target = thread_of(source_thread_id), thread_of(target_thread_id)
        await self._halves.aio().upkeep.copy_thread(source, target)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = KEEP_LATEST) -> None:
        """Delete all checkpoints but the latest of each namespace, or with "delete" all.

        Checkpoints that a kept one's delta channels are put together from are kept too.
        """
        upkeep = self._halves.sync().upkeep
        for thread_id in _pruned(thread_ids, strategy):
            if strategy == DELETE:
                upkeep.delete_thread(thread_id)
            else:
                upkeep.keep_latest(thread_id, self.serde)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = KEEP_LATEST) -> None:
        """As `prune`."""
        upkeep = self._halves.aio().upkeep
        for thread_id in _pruned(thread_ids, strategy):
            if strategy == DELETE:
                await upkeep.delete_thread(thread_id)
            else:
                await upkeep.keep_latest(thread_id, self.serde)


def _pruned(thread_ids: Sequence[str], strategy: str) -> Sequence[str]:
    if isinstance(thread_ids, str):
        raise TypeError("thread_ids is a sequence of thread ids, not a str")
    if strategy not in {KEEP_LATEST, DELETE}:
        raise ValueError(f"strategy is {KEEP_LATEST!r} or {DELETE!r}, not {strategy!r}")
    return [thread_of(thread_id) for thread_id in thread_ids]
