"""Pages of a listing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Cursor = TypeVar("Cursor")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item, Cursor]):
    """Items of a listing, in its order.

    Passing `next_after` as the listing's `after` returns the next page; None on the last page.
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
