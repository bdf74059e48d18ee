"""HTTP connections: how many there may be, and how long a client may take."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from runstore_server.identity.certificates import names_in

REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Retry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class Connection(H11Protocol):
    """One connection; it is closed when its client takes too long over a request or an answer.

    `patience` is how many seconds the client may take to send a request's head, and how many it may
    read nothing while more waits to be read. A connection beyond the `most` gets a bare 503. The
    names in the client's certificate are in the state of each request, as `names`.
    """

    def __init__(self, *, patience: float, most: int, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._patience = patience
        self._most = most
        self._head: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self.app_state = {**self.app_state, "names": names_in(transport.get_extra_info("peercert"))}
        if len(self.connections) > self._most:
            transport.write(REFUSAL)
            transport.close()
        else:
            self._head = self._later(self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._head = _stopped(self._head)
        self._reading = _stopped(self._reading)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        is_head = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if not is_head:
            self._head = _stopped(self._head)
        elif self._head is None:
            self._head = self._later(self._give_up)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reading = _stopped(self._reading)

    def _expect_reading(self) -> None:
        self._reading = self._later(self._check, self.transport.get_write_buffer_size())

    def _check(self, unread: int) -> None:
        if self.transport.get_write_buffer_size() < unread:
            self._expect_reading()
        else:
            self._give_up()

    def _give_up(self) -> None:
        self.transport.abort()

    def _later(self, act: Any, *given: object) -> asyncio.TimerHandle:
        return self.loop.call_later(self._patience, act, *given)


def _stopped(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Cancel the timer, and return what stands in its place: none."""
    if timer:
        timer.cancel()
    return None
