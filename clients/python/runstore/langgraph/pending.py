"""Pending writes as task writes.

The first line of a payload is a JSON object with the serializer's type and the task path; the rest
is the serialized value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, cast

from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    Checkpoint,
    CheckpointMetadata,
    PendingWrite,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from runstore.langgraph.checkpoints import Drafting
from runstore.values.payloads import Payload
from runstore.values.snapshots import TaskWrite

MAX_CHANNEL = 200
MAX_BATCH = 1000
# Stands for no task: it holds a checkpoint that was put again and replaces the first.
REVISION_TASK = "runstore.revision"
_REVISION_INDEX = -1
_CONTENT_TYPE = "application/x-langgraph-write"

WriteKey = tuple[str, int]


class Envelope(NamedTuple):
    """A stored write, unpacked but not deserialized."""

    path: str
    channel: str
    type: str
    data: bytes


class Writing(NamedTuple):
    """The arguments of `put_writes`."""

    serde: SerializerProtocol
    writes: Sequence[tuple[str, Any]]
    task_id: str
    task_path: str


def writes_of(writing: Writing) -> dict[WriteKey, TaskWrite]:
    """The task writes of one call; of a special channel's writes the last one counts."""
    serde, writes, task_id, task_path = writing
    found: dict[WriteKey, TaskWrite] = {}
    for number, (channel, value) in enumerate(writes):
        index = WRITES_IDX_MAP.get(channel, number)
        found[task_id, index] = _task_write(task_id, index, channel, task_path, serde, value)
    return found


def revision_of(drafting: Drafting) -> dict[WriteKey, TaskWrite]:
    """The task write that replaces a stored checkpoint; the last one counts."""
    value = {"checkpoint": drafting.checkpoint, "metadata": drafting.metadata}
    write = _task_write(REVISION_TASK, _REVISION_INDEX, "", "", drafting.serde, value)
    return {key_of(write): write}


def key_of(write: TaskWrite) -> WriteKey:
    """What identifies a write among those of its checkpoint."""
    return write.task_id, write.index


def missing(wanted: Sequence[TaskWrite], stored: Iterable[TaskWrite]) -> list[TaskWrite]:
    """The writes still to be put: from index 0 up, the first write of an index stays."""
    there = set(map(key_of, stored))
    return [write for write in wanted if write.index < 0 or key_of(write) not in there]


def batches(writes: Iterable[TaskWrite]) -> Iterator[list[TaskWrite]]:
    """The writes in as many requests as they need."""
    rest = iter(writes)
    while batch := list(islice(rest, MAX_BATCH)):
        yield batch


def _task_write(
    task_id: str, index: int, channel: str, path: str, serde: SerializerProtocol, value: object
) -> TaskWrite:
    type_, data = serde.dumps_typed(value)
    header = {"type": type_, "path": path}
    if len(channel) > MAX_CHANNEL:
        header["channel"] = channel
    return TaskWrite(
        task_id=task_id,
        index=index,
        channel=channel if len(channel) <= MAX_CHANNEL else "",
        payload=Payload(json.dumps(header).encode() + b"\n" + data, _CONTENT_TYPE),
    )


def envelope(write: TaskWrite) -> Envelope:
    """The content of a task write."""
    header, _, data = cast(Payload, write.payload).data.partition(b"\n")
    fields = json.loads(header)
    return Envelope(fields["path"], fields.get("channel", write.channel), fields["type"], data)


def is_revision(write: TaskWrite) -> bool:
    return write.task_id == REVISION_TASK


def pending_writes(serde: SerializerProtocol, writes: Iterable[TaskWrite]) -> list[PendingWrite]:
    """The writes of tasks, in the order in which a superstep applies them."""
    found = [(write, envelope(write)) for write in writes if not is_revision(write)]
    found.sort(key=lambda each: (each[1].path, each[0].task_id, each[0].index))
    return [
        (write.task_id, each.channel, serde.loads_typed((each.type, each.data)))
        for write, each in found
    ]


def revised(
    serde: SerializerProtocol, writes: Iterable[TaskWrite]
) -> tuple[Checkpoint, CheckpointMetadata] | None:
    """What replaced the checkpoint of these writes; None if it was put only once."""
    for write in filter(is_revision, writes):
        held = envelope(write)
        value = serde.loads_typed((held.type, held.data))
        return value["checkpoint"], value["metadata"]
    return None
