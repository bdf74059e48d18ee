"""The checkpoint saver: what LangGraph calls."""

from __future__ import annotations

import os
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

from runstore.channels import DEFAULT_PROJECT, DEFAULT_TIMEOUT
from runstore.langgraph.addresses import (
    CheckpointAddress,
    address_of,
    checkpoint_id_of,
    full_address_of,
    thread_id_of,
)
from runstore.langgraph.checkpoints import Drafting
from runstore.langgraph.halves import Halves
from runstore.langgraph.pending import Writing
from runstore.langgraph.sessions import MAX_SESSIONS
from runstore.langgraph.tuples import listing_of
from runstore.tls import Tls
from runstore.tokens import Metadata

if TYPE_CHECKING:
    from langgraph.checkpoint.base import DeltaChannelHistory

KEEP_LATEST = "keep_latest"
DELETE = "delete"


class RunstoreSaver(BaseCheckpointSaver[str]):
    """Saves LangGraph checkpoints in runstore; a thread is a run, a checkpoint a snapshot.

    Safe to share between threads, tasks and event loops. Writers of one thread are fenced: a saver
    that read a thread before another saver wrote to it gets `ThreadTakenOver`, instead of silently
    forking the thread. Calls raise the exceptions that `runstore.errors` lists.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        project: str = DEFAULT_PROJECT,
        timeout: float = DEFAULT_TIMEOUT,
        tls: Tls | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        insecure_token: bool = False,
        serde: SerializerProtocol | None = None,
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        """A saver for the server at `target`, as for `runstore.connect`.

        `timeout` bounds a call with all its retries, in seconds. At most `max_sessions` threads are
        remembered; a thread that was forgotten has to be read again before it is written. Nothing
        is sent before the first call.
        """
        # First, so that pickling a saver meets it first, which says what to do instead.
        self._halves = Halves(
            target,
            project,
            timeout=timeout,
            tls=tls,
            credentials=credentials,
            metadata=metadata,
            token=token,
            token_file=token_file,
            insecure_token=insecure_token,
            max_sessions=max_sessions,
        )
        super().__init__(serde=serde)

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
        """The checkpoint that a config names, by default the latest of its namespace."""
        return self._halves.sync().threads.get(address_of(config), self.serde)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return await self._halves.aio().threads.get(address_of(config), self.serde)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, newest first; without a config, of all threads of the project."""
        listing = listing_of(config, filter, before)
        yield from self._halves.sync().listings.tuples(listing, limit, self.serde)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - LangGraph's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[CheckpointTuple]:
        """As `list`."""
        listing = listing_of(config, filter, before)
        async with aclosing(
            self._halves.aio().listings.tuples(listing, limit, self.serde)
        ) as found:
            async for each in found:
                yield each

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Writes of delta channels before a checkpoint, back to their last stored values."""
        address = address_of(config)
        return self._halves.sync().listings.history(address, channels, self.serde)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """As `get_delta_channel_history`."""
        address = address_of(config)
        return await self._halves.aio().listings.history(address, channels, self.serde)

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint after the one that the config names, and return its own config.

        Raise `ThreadTakenOver` if another writer continued the thread after it was read.
        """
        base, address, drafting = self._put(config, checkpoint, metadata, new_versions)
        self._halves.sync().threads.put(address, base.checkpoint_id, drafting)
        return address.config()

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        base, address, drafting = self._put(config, checkpoint, metadata, new_versions)
        await self._halves.aio().threads.put(address, base.checkpoint_id, drafting)
        return address.config()

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> tuple[CheckpointAddress, CheckpointAddress, Drafting]:
        base = address_of(config)
        address = base.at(checkpoint_id_of({"checkpoint_id": checkpoint["id"]}))
        whole = get_checkpoint_metadata(config, metadata)
        return base, address, Drafting(self.serde, checkpoint, whole, new_versions, {})

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store the writes of a task after the checkpoint that the config names.

        Of a task's regular writes, the first at each index stays; of special ones (errors,
        interrupts), the last. Writes that arrive before their checkpoint is put are stored with it.
        """
        writing = Writing(self.serde, writes, task_id, task_path)
        self._halves.sync().threads.put_writes(full_address_of(config), writing)

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As `put_writes`."""
        writing = Writing(self.serde, writes, task_id, task_path)
        await self._halves.aio().threads.put_writes(full_address_of(config), writing)

    def get_next_version(
        self,
        current: str | int | None,
        channel: None,  # noqa: ARG002 - LangGraph passes it
    ) -> str:
        """The next version of a channel: greater, and different on every branch."""
        number = int(str(current).partition(".")[0]) if current is not None else 0
        return f"{number + 1:032}.{secrets.randbelow(10**16):016}"

    # Upkeep

    def delete_thread(self, thread_id: str) -> None:
        """Delete all checkpoints and writes of a thread, and fence its writers.

        The run and its events stay as the record. The thread may be used again.
        """
        self._halves.sync().upkeep.delete_thread(thread_id_of(thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await self._halves.aio().upkeep.delete_thread(thread_id_of(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints whose metadata has one of the `run_id`s, with their writes."""
        self._halves.sync().upkeep.delete_for_runs(run_ids)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await self._halves.aio().upkeep.delete_for_runs(run_ids)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints and writes of a thread into another one; ids and order stay."""
        source, target = thread_id_of(source_thread_id), thread_id_of(target_thread_id)
        self._halves.sync().upkeep.copy_thread(source, target)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        source, target = thread_id_of(source_thread_id), thread_id_of(target_thread_id)
        await self._halves.aio().upkeep.copy_thread(source, target)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = KEEP_LATEST) -> None:
        """Delete all checkpoints but the latest of each namespace; with "delete", all of them.

        The checkpoints that delta channels of the latest one are rebuilt from are kept too.
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
        raise TypeError("thread_ids must be a sequence of thread ids, not a str")
    if strategy not in {KEEP_LATEST, DELETE}:
        raise ValueError(f"strategy must be {KEEP_LATEST!r} or {DELETE!r}, not {strategy!r}")
    return [thread_id_of(thread_id) for thread_id in thread_ids]
