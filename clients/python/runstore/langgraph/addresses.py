"""Where a checkpoint is: what a config names, within the store's bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from langchain_core.runnables import RunnableConfig

from runstore.langgraph.sessions import CheckpointKey

MAX_THREAD_ID = 200
MAX_CHECKPOINT_ID = 200
MAX_NAMESPACE = 400
MAX_NAMESPACE_BYTES = 1000


class CheckpointAddress(NamedTuple):
    """A thread, a namespace, and a checkpoint; an empty checkpoint id means the latest one."""

    thread_id: str
    namespace: str
    checkpoint_id: str

    @property
    def key(self) -> CheckpointKey:
        return CheckpointKey(self.namespace, self.checkpoint_id)

    def at(self, checkpoint_id: str) -> CheckpointAddress:
        """Another checkpoint of the same namespace."""
        return self._replace(checkpoint_id=checkpoint_id)

    def config(self) -> RunnableConfig:
        """The config that names this checkpoint."""
        return {
            "configurable": {
                "thread_id": self.thread_id,
                "checkpoint_ns": self.namespace,
                "checkpoint_id": self.checkpoint_id,
            }
        }


def address_of(config: RunnableConfig) -> CheckpointAddress:
    """The address a config names; raise ValueError if it is outside of the store's bounds."""
    fields = configurable(config)
    return CheckpointAddress(
        thread_id_of(fields.get("thread_id")),
        namespace_of(fields.get("checkpoint_ns") or ""),
        checkpoint_id_of(fields),
    )


def full_address_of(config: RunnableConfig) -> CheckpointAddress:
    """As `address_of`; raise ValueError also if the config names no checkpoint."""
    address = address_of(config)
    if not address.checkpoint_id:
        raise ValueError("writes need the checkpoint they follow: configurable.checkpoint_id")
    return address


def configurable(config: RunnableConfig) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], config.get("configurable") or {})


def thread_id_of(thread_id: object) -> str:
    """The id of the run that a thread is stored in."""
    if thread_id is None or thread_id == "":
        raise ValueError("the config needs configurable.thread_id")
    text = str(thread_id)
    if len(text) > MAX_THREAD_ID:
        raise ValueError(f"a thread id has at most {MAX_THREAD_ID} characters, not {len(text)}")
    return text


def namespace_of(namespace: str) -> str:
    size = len(namespace.encode())
    if len(namespace) > MAX_NAMESPACE or size > MAX_NAMESPACE_BYTES:
        raise ValueError(
            f"a checkpoint namespace has at most {MAX_NAMESPACE} characters and"
            f" {MAX_NAMESPACE_BYTES} bytes, not {len(namespace)} and {size}: subgraphs are nested"
            " too deep, or their nodes' names are too long"
        )
    return namespace


def checkpoint_id_of(fields: Mapping[str, Any]) -> str:
    """The checkpoint that a config names; empty if it names none."""
    text = str(fields.get("checkpoint_id") or "")
    if len(text) > MAX_CHECKPOINT_ID:
        raise ValueError(
            f"a checkpoint id has at most {MAX_CHECKPOINT_ID} characters, not {len(text)}"
        )
    return text
