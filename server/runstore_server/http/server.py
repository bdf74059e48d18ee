"""uvicorn inside this process, which keeps control of signals and logs."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from runstore_server.edge.listening import bound
from runstore_server.http.connections import Connection

# Of the request line and headers together: fits 64 filters of 200 percent-encoded characters.
MAX_HEAD_BYTES = 256 << 10
# Of a connection in the kernel, beside what is on its way; else it is megabytes for slow readers.
UNSENT_BYTES = 64 << 10


class _Uvicorn(uvicorn.Server):
    """Leaves signals to the process, and sets an event when it serves."""

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()
        self._tls = tls

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.ssl = self._tls  # it takes files, and reads them once
        try:
            await super().startup(sockets)
        finally:
            self.serving.set()


class HttpServer:
    """One listening socket and the application served on it."""

    def __init__(
        self,
        app: ASGIApp,
        host: str,
        port: int,
        *,
        patience: float,
        most_connections: int,
        reuse_port: bool,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._address = (host, port)
        self._reuse_port = reuse_port
        self._listener: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                http=cast(Any, partial(Connection, patience=patience, most=most_connections)),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                reset_contextvars=True,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            ),
            tls,
        )

    def bind(self) -> str:
        """Bind the address, and return the one that clients connect to."""
        self._listener = bound(*self._address, reuse_port=self._reuse_port)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # inherited by connections
            self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        return f"{self._address[0]}:{self._listener.getsockname()[1]}"

    async def start(self) -> None:
        """Serve on the bound address."""
        assert self._listener, "bind comes first"
        self._serving = asyncio.create_task(self._uvicorn.serve(sockets=[self._listener]))
        await self._uvicorn.serving.wait()
        if not self._uvicorn.started:
            await self._serving  # raises why it did not start

    def refuse_more(self) -> None:
        """Accept no more connections, and close each one after its current request.

        Streams end after this, so that their clients reconnect to a server that stays.
        """
        if self._serving is None:
            return
        for listening in self._uvicorn.servers:
            listening.close()
        for connection in list(self._uvicorn.server_state.connections):
            connection.shutdown()

    async def stop(self, grace: float) -> None:
        """Return when every request is answered; after `grace` seconds, close all connections."""
        if self._serving is None:
            if self._listener:
                self._listener.close()
            return
        self._uvicorn.should_exit = True
        await asyncio.wait([self._serving], timeout=grace)
        for connection in list(self._uvicorn.server_state.connections):
            connection.transport.abort()
        for task in list(self._uvicorn.server_state.tasks):
            task.cancel()
        await self._serving
