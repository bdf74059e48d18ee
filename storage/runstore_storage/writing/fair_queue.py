"""A queue in which no project waits behind all that another has put there."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from runstore_storage.contract.scope import Scope

T = TypeVar("T")

# What a project may take in a turn; what costs more is saved up for over several.
QUANTUM = 100


class FairQueue(Generic[T]):
    """Takes from the projects in turns, so that each gets as much as the others, by cost.

    What one project put keeps its order. The rule is deficit round robin (Shreedhar and Varghese,
    1995).
    """

    def __init__(self) -> None:
        self._queues: dict[Scope, deque[tuple[T, int]]] = {}
        self._turns: deque[Scope] = deque()
        """The projects that have something in the queue; it is the first one's turn."""
        self._credit: dict[Scope, int] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, scope: Scope, item: T, cost: int) -> None:
        """Add an item; `cost` is at least 1."""
        self._length += 1
        if queue := self._queues.get(scope):
            queue.append((item, cost))
            return
        self._queues[scope] = deque(((item, cost),))
        self._credit[scope] = 0
        self._turns.append(scope)

    def take(self) -> T:
        """The next item; raise `IndexError` if there is none."""
        scope = self._next()
        queue = self._queues[scope]
        item, cost = queue.popleft()
        self._credit[scope] -= cost
        self._length -= 1
        if not queue:
            del self._queues[scope], self._credit[scope]
            self._turns.popleft()
        return item

    def _next(self) -> Scope:
        """Whose turn it is, after the turns of those who cannot afford their next item yet."""
        while len(self._turns) > 1:
            scope = self._turns[0]
            _, cost = self._queues[scope][0]
            if self._credit[scope] >= cost:
                return scope
            self._turns.rotate(-1)
            self._credit[self._turns[0]] += QUANTUM
        self._credit[self._turns[0]] = QUANTUM  # alone: it owes nobody
        return self._turns[0]
