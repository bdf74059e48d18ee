"""The order of a run's appends while large payloads of some are on their way out of the events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.scope import Scope, ScopedKey
from runstore_storage.prepared_events import PreparedEvent, bytes_of
from runstore_storage.writing.backlog import Backlog

Events = Sequence[PreparedEvent]

T = TypeVar("T")


class OffloadQueue:
    """Passes appends on in the order of their arrival, run by run.

    Offloading a large payload takes time, and nothing that arrives for the same run meanwhile may
    overtake it: of two appends to one run, the later is passed on after the earlier, or after the
    earlier has failed or been cancelled. That holds however offloading ends and whichever caller is
    cancelled at whatever moment. A caller that is cancelled before its append was passed on has
    appended nothing.

    Payloads are offloaded side by side, those of one run too. Appends of different runs never wait
    for each other, and an append without a large payload waits only behind one with. Those that
    wait are bounded: another one is refused as `Overloaded`.
    """

    def __init__(
        self,
        offload: Callable[[RunKey, Events], Awaitable[Events]],
        has_large: Callable[[Events], bool],
    ) -> None:
        self._offload = offload
        self._has_large = has_large
        self._backlog = Backlog()
        self._lines: dict[ScopedKey, deque[asyncio.Future[None]]] = {}
        """For each run, the turns of the appends not passed on yet; the first one's has come."""

    async def pass_on(self, run: ScopedKey, events: Events, receive: Callable[[Events], T]) -> T:
        """Offload what is large, wait for the append's turn, and return what `receive` does.

        `receive` gets the events, and is called once or never; never after this call was cancelled.
        """
        if not self.holds_up(run, events):
            return receive(events)
        with self._counted(run.scope, events), self._queued(run) as turn:
            offloaded = await self._offload(run.key, events)
            await turn
            return receive(offloaded)

    def holds_up(self, run: ScopedKey, events: Events) -> bool:
        """Whether an append that arrives now has to wait before it is passed on."""
        return run in self._lines or self._has_large(events)

    def __len__(self) -> int:
        """How many appends have arrived and neither been passed on nor given up."""
        return sum(map(len, self._lines.values()))

    @contextmanager
    def _counted(self, scope: Scope, events: Events) -> Iterator[None]:
        size = bytes_of(events)
        self._backlog.add(scope, size)
        try:
            yield
        finally:
            self._backlog.remove(scope, size)

    @contextmanager
    def _queued(self, run: ScopedKey) -> Iterator[asyncio.Future[None]]:
        """Stand in the run's line; the future is done when all that stood before have left it."""
        line = self._lines.setdefault(run, deque())
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        _give_turn_to_first(line)
        try:
            yield turn
        finally:
            line.remove(turn)
            _give_turn_to_first(line)
            if not line:
                del self._lines[run]


def _give_turn_to_first(line: deque[asyncio.Future[None]]) -> None:
    # A cancelled caller has cancelled its turn too, and leaves the line when it runs next.
    if line and not line[0].done():
        line[0].set_result(None)
