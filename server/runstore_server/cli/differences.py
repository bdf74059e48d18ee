"""The differences between two snapshots."""

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
    """A node, pending node or state part that only one side has, or that differs.

    `how` is `added`, `removed` or `changed`; a changed node says in which fields.
    """

    what: str
    name: str
    how: str
    fields: tuple[str, ...] = ()


def differences(before: Snapshot | None, after: Snapshot | None) -> list[Difference]:
    """Compare nodes, pending nodes and state parts, each in order of their names."""
    return [
        *_compared("node", _nodes(before), _nodes(after), _changed_fields),
        *_compared("pending_node", _pending(before), _pending(after), _no_fields),
        *_compared("state", _state(before), _state(after), _no_fields),
    ]


def _compared(
    what: str,
    before: Mapping[str, T],
    after: Mapping[str, T],
    fields: Callable[[T, T], tuple[str, ...]],
) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        if name not in before:
            yield Difference(what, name, "added")
        elif name not in after:
            yield Difference(what, name, "removed")
        elif before[name] != after[name]:
            yield Difference(what, name, "changed", fields(before[name], after[name]))


def _nodes(snapshot: Snapshot | None) -> Mapping[str, PlanNode]:
    return {node.node_id: node for node in snapshot.nodes} if snapshot else {}


def _pending(snapshot: Snapshot | None) -> Mapping[str, Hashable]:
    return dict.fromkeys(snapshot.pending_node_ids, True) if snapshot else {}


def _state(snapshot: Snapshot | None) -> Mapping[str, object]:
    return snapshot.state if snapshot else {}


def _changed_fields(before: PlanNode, after: PlanNode) -> tuple[str, ...]:
    return tuple(name for name in NODE_FIELDS if getattr(before, name) != getattr(after, name))


def _no_fields(_before: object, _after: object) -> tuple[str, ...]:
    return ()
