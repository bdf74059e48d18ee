"""Turns: who may write a thread now, for threads and tasks alike.

A sync node of an async graph may run a graph of its own on the same thread id, so one lock has to
serve both worlds: it is entered by `with` and by `async with`. Turns come in the order asked for.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from types import TracebackType


class Turns:
    """One turn for each name; names that nobody waits for take no memory."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[str, deque[Future[None]]] = {}

    def of(self, name: str) -> Turn:
        """A turn to be taken once, by `with` or `async with`."""
        return Turn(self, name)

    def ask(self, name: str) -> Future[None]:
        """Stand in line; the future is done when it is one's turn."""
        ticket: Future[None] = Future()
        with self._guard:
            line = self._waiting.get(name)
            if line is not None:
                line.append(ticket)
                return ticket
            self._waiting[name] = deque()
        ticket.set_result(None)
        return ticket

    def pass_on(self, name: str) -> None:
        """Give the turn to the next in line."""
        with self._guard:
            line = self._waiting[name]
            while line:
                ticket = line.popleft()
                if ticket.set_running_or_notify_cancel():
                    break
            else:
                del self._waiting[name]
                return
        ticket.set_result(None)

    def withdraw(self, name: str, ticket: Future[None]) -> None:
        """Leave the line; a turn that came already is passed on."""
        if not ticket.cancel():
            self.pass_on(name)


class Turn:
    def __init__(self, turns: Turns, name: str) -> None:
        self._turns = turns
        self._name = name

    def __enter__(self) -> None:
        ticket = self._turns.ask(self._name)
        if not ticket.done() and _is_in_loop():
            # Whoever has the turn may be a task of this loop, which could never end.
            self._turns.withdraw(self._name, ticket)
            raise RuntimeError(
                f"a synchronous call would keep the event loop waiting for thread {self._name!r},"
                " which is being written: await the asynchronous method, or call from a thread"
            )
        try:
            ticket.result()
        except BaseException:
            self._turns.withdraw(self._name, ticket)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._turns.pass_on(self._name)

    async def __aenter__(self) -> None:
        ticket = self._turns.ask(self._name)
        if ticket.done():
            return
        try:
            await asyncio.wrap_future(ticket)
        except BaseException:
            self._turns.withdraw(self._name, ticket)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._turns.pass_on(self._name)


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
