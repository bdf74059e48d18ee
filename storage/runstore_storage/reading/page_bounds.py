"""How much a page holds beside its limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

# A page of events or hits ends with the one whose payload reaches this.
PAGE_BYTES = 1 << 20
SNAPSHOT_PAGE_BYTES = 4 << 20

T = TypeVar("T")


def within(items: Sequence[T], sizes: Sequence[int], most: int) -> Sequence[T]:
    """The first items whose sizes add up to no more than `most`; at least one."""
    total = 0
    for index, size in enumerate(sizes):
        total += size
        if index and total > most:
            return items[:index]
    return items
