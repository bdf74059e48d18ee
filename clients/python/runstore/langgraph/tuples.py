"""Reading: snapshots as checkpoint tuples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from runstore.langgraph.addresses import (
    CheckpointAddress,
    checkpoint_id_of,
    configurable,
    namespace_of,
    thread_id_of,
)
from runstore.langgraph.checkpoints import (
    KnownPart,
    Version,
    checkpoint_of,
    is_checkpoint,
    is_json,
    known_parts,
    metadata_of,
)
from runstore.langgraph.pending import pending_writes, revised
from runstore.values.payloads import Payload, payload_of
from runstore.values.snapshots import Snapshot

_UNKNOWN_STEPS = 100


class Stored(NamedTuple):
    """A snapshot with its task writes, the address it was read by, and what loads its values.

    A fork's snapshots may be stored in the run it was forked from; their thread is the fork.
    """

    serde: SerializerProtocol
    address: CheckpointAddress
    snapshot: Snapshot

    @property
    def parent(self) -> CheckpointAddress | None:
        parent = self.snapshot.parent_snapshot_id
        return self.address.at(parent) if parent else None


def load(stored: Stored) -> CheckpointTuple:
    """Deserialize a checkpoint with its pending writes."""
    serde, address, snapshot = stored
    revision = revised(serde, snapshot.task_writes)
    checkpoint, metadata = revision or (
        checkpoint_of(serde, snapshot),
        metadata_of(serde, snapshot),
    )
    return CheckpointTuple(
        config=address.config(),
        checkpoint=checkpoint,
        metadata=metadata,
        parent_config=stored.parent.config() if stored.parent else None,
        pending_writes=pending_writes(serde, snapshot.task_writes),
    )


def load_and_hash(stored: Stored) -> tuple[CheckpointTuple, dict[tuple[str, Version], KnownPart]]:
    """As `load`, and the stored parts, which need not be sent again."""
    return load(stored), known_parts(stored.serde, stored.snapshot)


class Filter(NamedTuple):
    """A filter by metadata: what the server compares, and what only Python can."""

    metadata: Payload | None
    rest: Mapping[str, Any]

    def accepts(self, metadata: CheckpointMetadata) -> bool:
        found: Mapping[str, Any] = {**metadata}
        return all(found.get(name) == value for name, value in self.rest.items())


def filter_of(wanted: Mapping[str, Any] | None) -> Filter:
    members = {name: value for name, value in (wanted or {}).items() if is_json(value)}
    rest = {name: value for name, value in (wanted or {}).items() if name not in members}
    return Filter(payload_of(members) if members else None, rest)


class Listing(NamedTuple):
    """Which checkpoints to list: of a thread (all for ""), of a namespace (all for None)."""

    thread_id: str
    namespace: str | None
    checkpoint_id: str
    before: str
    where: Filter

    @property
    def address(self) -> CheckpointAddress | None:
        """Where the only checkpoint is that can be listed; None if there may be several."""
        if self.thread_id and self.namespace is not None and self.checkpoint_id:
            return CheckpointAddress(self.thread_id, self.namespace, self.checkpoint_id)
        return None

    @property
    def is_replay(self) -> bool:
        """Whether it looks, as LangGraph does, for what a replayed subgraph continues from."""
        is_filtered = self.checkpoint_id or self.where.metadata or self.where.rest
        return bool(self.thread_id and self.namespace and self.before and not is_filtered)

    def accepts(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot without its parts may be one of them."""
        if not is_checkpoint(snapshot) or self.checkpoint_id not in {"", snapshot.snapshot_id}:
            return False
        return not self.before or snapshot.snapshot_id < self.before


def listing_of(
    config: RunnableConfig | None,
    wanted: Mapping[str, Any] | None,
    before: RunnableConfig | None,
) -> Listing:
    """The listing that `list` was asked for; raise ValueError as `address_of` does."""
    fields = configurable(config) if config else {}
    namespace = fields.get("checkpoint_ns")
    return Listing(
        thread_id=thread_id_of(fields.get("thread_id")) if config else "",
        namespace=None if namespace is None else namespace_of(namespace),
        checkpoint_id=checkpoint_id_of(fields),
        before=checkpoint_id_of(configurable(before)) if before else "",
        where=filter_of(wanted),
    )


def delta_channels(metadata: CheckpointMetadata) -> set[str]:
    """Channels whose value has to be rebuilt from the writes of earlier checkpoints."""
    return set(metadata.get("counters_since_delta_snapshot") or ())


def delta_steps(snapshot: Snapshot) -> int:
    """How many steps before a checkpoint its delta channels were last stored, at most."""
    metadata = snapshot.metadata.value() if snapshot.metadata else {}
    counters = metadata.get("counters_since_delta_snapshot")
    if not isinstance(counters, Mapping):
        return _UNKNOWN_STEPS
    steps = [each[-1] for each in counters.values() if isinstance(each, list) and each]
    return max((each for each in steps if isinstance(each, int)), default=_UNKNOWN_STEPS)


class History:
    """Writes of channels since their last stored value, collected from child to parent."""

    def __init__(self, channels: Sequence[str]) -> None:
        self._writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
        self._seeds: dict[str, Any] = {}
        self._missing = set(channels)

    @property
    def is_complete(self) -> bool:
        return not self._missing

    def add(self, ancestor: CheckpointTuple) -> None:
        """Add the next ancestor's writes and values of the channels that still lack a seed."""
        for write in reversed(ancestor.pending_writes or ()):
            if write[1] in self._missing:
                self._writes[write[1]].append(write)
        values = ancestor.checkpoint["channel_values"]
        for channel in self._missing & values.keys():
            self._seeds[channel] = values[channel]
        self._missing -= values.keys()

    def result(self) -> dict[str, Any]:
        """For each channel its writes, oldest first, and its seed if there is one."""
        return {
            channel: {"writes": writes[::-1]}
            | ({"seed": self._seeds[channel]} if channel in self._seeds else {})
            for channel, writes in self._writes.items()
        }
