"""A queue in which no project waits behind all that another has put there."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from runstore_storage.contract.scope import Scope

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Takes from the projects in turns, one at a time; what one project put keeps its order."""

    def __init__(self) -> None:
        self._queues: dict[Scope, deque[T]] = {}
        self._turns: deque[Scope] = deque()
        """The projects that have something in the queue; the first one is next."""
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, scope: Scope, item: T) -> None:
        self._length += 1
        if queue := self._queues.get(scope):
            queue.append(item)
            return
        self._queues[scope] = deque((item,))
        self._turns.append(scope)

    def take(self) -> T:
        """The next item; raise `IndexError` if there is none."""
        scope = self._turns[0]
        queue = self._queues[scope]
        item = queue.popleft()
        self._length -= 1
        if not queue:
            del self._queues[scope]
            self._turns.popleft()
        elif len(self._turns) > 1:
            self._turns.rotate(-1)
        return item
