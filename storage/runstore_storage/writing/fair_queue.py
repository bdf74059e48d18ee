"""A queue in which no project waits behind all that another has put there."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from runstore_storage.contract.scope import Scope

T = TypeVar("T")

# What a project may take in a turn; what costs more is saved up for over several.
QUANTUM = 100


class _Line(Generic[T]):
    """What one project has in the queue, each item with its cost, and what it may still take."""

    __slots__ = ("credit", "items", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.items: deque[tuple[T, int]] = deque()
        self.credit = 0


class FairQueue(Generic[T]):
    """Takes from the projects in turns, so that each gets as much as the others, by cost.

    What one project put keeps its order. The rule is deficit round robin (Shreedhar and Varghese,
    1995).
    """

    def __init__(self) -> None:
        self._lines: dict[Scope, _Line[T]] = {}
        """Those of the projects that have something in the queue."""
        self._turns: deque[_Line[T]] = deque()
        """The same lines; it is the first one's turn."""
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, scope: Scope, item: T, cost: int) -> None:
        """Add an item; `cost` is at least 1."""
        line = self._lines.get(scope)
        if line is None:
            line = self._lines[scope] = _Line(scope)
            self._turns.append(line)
        line.items.append((item, cost))
        self._length += 1

    def take(self) -> T:
        """The next item; raise `IndexError` if there is none."""
        line = self._next()
        item, cost = line.items.popleft()
        line.credit -= cost
        self._length -= 1
        if not line.items:
            del self._lines[line.scope]
            self._turns.popleft()
        return item

    def _next(self) -> _Line[T]:
        """Whose turn it is, after the turns of those who cannot afford their next item yet."""
        turns = self._turns
        while len(turns) > 1:
            line = turns[0]
            _, cost = line.items[0]
            if line.credit >= cost:
                return line
            turns.rotate(-1)
            turns[0].credit += QUANTUM
        turns[0].credit = QUANTUM  # alone: it owes nobody
        return turns[0]
