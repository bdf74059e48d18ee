"""Putting and reading checkpoints in the tests of the saver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langgraph.checkpoint.base import CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from runstore.langgraph import RunstoreSaver

NewSaver = Callable[..., RunstoreSaver]


def config_of(thread_id: str = "thread", checkpoint_id: str = "", namespace: str = "") -> Any:
    fields = {"thread_id": thread_id, "checkpoint_ns": namespace}
    return {"configurable": fields | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}


def put(
    saver: RunstoreSaver,
    values: dict[str, Any],
    config: Any = None,
    *,
    new: tuple[str, ...] | None = None,
    metadata: Any = None,
    checkpoint_id: str = "",
) -> Any:
    """Put a checkpoint in which the channels `new` (all of them by default) are new."""
    names = values if new is None else new
    checkpoint = empty_checkpoint() | {
        "id": checkpoint_id or str(uuid6()),
        "channel_values": values,
        "channel_versions": {name: repr(value)[:40] for name, value in values.items()},
    }
    versions = {name: checkpoint["channel_versions"][name] for name in names}
    given = metadata or {"source": "loop", "step": 1}
    return saver.put(config or config_of(), checkpoint, given, versions)


def stored(saver: RunstoreSaver, config: Any) -> CheckpointTuple:
    found = saver.get_tuple(config)
    assert found
    return found
