"""How long it takes to serialize what threads store, to tell whether it is worth another thread.

Handing work to another Python thread and waiting for it takes longer than to serialize the state of
most graphs. What takes long, because it is large or its serializer waits for something, must not
hold up the event loop.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from runstore.langgraph.bounded import Bounded

T = TypeVar("T")
DataT = TypeVar("DataT")

# What took less the last time is done where it is asked for.
SHORT_SECONDS = 0.002


class Effort:
    """How many seconds one thread's work took the last time; infinite before the first time."""

    def __init__(self) -> None:
        self.seconds = math.inf

    @property
    def is_short(self) -> bool:
        return self.seconds < SHORT_SECONDS

    def of(self, work: Callable[[DataT], T], data: DataT) -> T:
        """Do the work, and note how long it takes."""
        began = time.perf_counter()
        try:
            return work(data)
        finally:
            self.seconds = time.perf_counter() - began


class Efforts:
    """The efforts of the threads that were used last."""

    def __init__(self, most: int) -> None:
        self._efforts: Bounded[str, Effort] = Bounded(most)

    def of(self, thread_id: str) -> Effort:
        effort = self._efforts.get(thread_id)
        if effort is None:
            effort = Effort()
            self._efforts.put(thread_id, effort)
        return effort
