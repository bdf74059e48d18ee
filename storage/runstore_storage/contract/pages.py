"""Pages of a listing, and how many bytes a page holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Cursor = TypeVar("Cursor")

# A page of events or hits ends with the one whose payload reaches this.
PAGE_BYTES = 1 << 20
SNAPSHOT_PAGE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Page(Generic[Item, Cursor]):
    """Items of a listing, in its order.

    `next_after` is the `after` that returns the next page; None on the last page.
    """

    items: tuple[Item, ...]
    next_after: Cursor | None

    @classmethod
    def of(
        cls, found: Sequence[Item], limit: int, cursor_of: Callable[[Item], Cursor]
    ) -> Page[Item, Cursor]:
        """The first `limit` of the items found; the last page unless there are more of them."""
        kept = tuple(found[:limit])
        return cls(kept, cursor_of(kept[-1]) if len(found) > limit else None)


def within(items: Sequence[Item], sizes: Sequence[int], most: int) -> Sequence[Item]:
    """The first items whose sizes add up to no more than `most`; at least one."""
    total = 0
    for index, size in enumerate(sizes):
        total += size
        if index and total > most:
            return items[:index]
    return items
