"""Turns: which caller may write to a thread now.

A synchronous node of an asynchronous graph may run a graph of its own on the same thread id. So one
lock serves threads and tasks alike: it is entered by `with` and by `async with`, first come, first
served.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from types import TracebackType


class Turns:
    """One turn at a time for each name; unused names take no memory."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: dict[str, deque[Future[None]]] = {}

    def of(self, name: str) -> Turn:
        """A turn, to be taken once by `with` or `async with`."""
        return Turn(self, name)

    def join(self, name: str) -> Future[None]:
        """Join the line; the future is done when the caller's turn begins."""
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
        """End a turn; the next in line begins."""
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

    def leave(self, name: str, ticket: Future[None]) -> None:
        """Leave the line; a turn that has already begun is passed on."""
        if not ticket.cancel():
            self.pass_on(name)


class Turn:
    def __init__(self, turns: Turns, name: str) -> None:
        self._turns = turns
        self._name = name

    def __enter__(self) -> None:
        ticket = self._turns.join(self._name)
        if not ticket.done() and _is_in_loop():
            # Waiting would block this loop, and a task of this loop may have the turn.
            self._turns.leave(self._name, ticket)
            raise RuntimeError(
                f"a synchronous call would block the event loop until thread {self._name!r} is free"
                " to be written: await the asynchronous method, or call from another thread"
            )
        try:
            ticket.result()
        except BaseException:
            self._turns.leave(self._name, ticket)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._turns.pass_on(self._name)

    async def __aenter__(self) -> None:
        ticket = self._turns.join(self._name)
        if ticket.done():
            return
        try:
            await asyncio.wrap_future(ticket)
        except BaseException:
            self._turns.leave(self._name, ticket)
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
