"""What differs between two states of plans."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from runstore import PlanNode, Snapshot

NODE_FIELDS = (
    "kind",
    "status",
    "facets",
    "input_schema",
    "output_schema",
    "provenance",
    "state",
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is on one side alone (`added`, `removed`) or `changed`."""

    kind: str
    name: str
    how: str
    fields: tuple[str, ...] = ()


def differences(before: Snapshot | None, after: Snapshot | None) -> list[Difference]:
    """Nodes, pending nodes and state parts of two snapshots, in order of their names."""
    return [
        *_compared("node", _nodes(before), _nodes(after), _changed_fields),
        *_compared("pending node", _pending(before), _pending(after), _nothing),
        *_compared("state", _state(before), _state(after), _nothing),
    ]


def _compared(
    kind: str,
    before: Mapping[str, T],
    after: Mapping[str, T],
    fields: Callable[[T, T], tuple[str, ...]],
) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        if name not in before:
            yield Difference(kind, name, "added")
        elif name not in after:
            yield Difference(kind, name, "removed")
        elif before[name] != after[name]:
            yield Difference(kind, name, "changed", fields(before[name], after[name]))


def _nodes(snapshot: Snapshot | None) -> Mapping[str, PlanNode]:
    return {node.node_id: node for node in snapshot.nodes} if snapshot else {}


def _pending(snapshot: Snapshot | None) -> Mapping[str, Hashable]:
    return dict.fromkeys(snapshot.pending_node_ids, True) if snapshot else {}


def _state(snapshot: Snapshot | None) -> Mapping[str, object]:
    return snapshot.state if snapshot else {}


def _changed_fields(before: PlanNode, after: PlanNode) -> tuple[str, ...]:
    return tuple(name for name in NODE_FIELDS if getattr(before, name) != getattr(after, name))


def _nothing(_before: object, _after: object) -> tuple[str, ...]:
    return ()
