"""Around every HTTP request: its id, log line and metrics, and a response if the app fails."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.metrics import Metrics
from runstore_server.edge.requests import REQUEST_ID_KEY, id_of, request_id
from runstore_server.http.problems import problem

# A client can send any method; labels of metrics must stay few.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NOT_ROUTED = "none"
NOT_ANSWERED = 0

_log = structlog.get_logger(__name__)


class Exchanges:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, metrics: Metrics) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(scope, send)
        began = time.monotonic()
        try:
            await self._app(scope, receive, exchange.send)
        except asyncio.CancelledError:
            # While draining, the server has closed the connection: there is no one to answer.
            if not self._lifecycle.draining.is_set():
                raise
        except Exception as error:
            # The application has answered and logged what it could.
            if not exchange.is_begun:
                await problem(error)(scope, receive, exchange.send)
        finally:
            exchange.log(time.monotonic() - began)
            self._metrics.request_ended(exchange.route, exchange.method, exchange.status)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self.status = NOT_ANSWERED
        headers = ((name.decode(), value.decode("latin-1")) for name, value in scope["headers"])
        self._id = id_of(headers)
        request_id.set(self._id)
        structlog.contextvars.bind_contextvars(
            request_id=self._id, method=scope["method"], path=scope["raw_path"].decode()
        )

    @property
    def is_begun(self) -> bool:
        return self.status != NOT_ANSWERED

    @property
    def route(self) -> str:
        """The template of the route that matched."""
        return str(getattr(self._scope.get("route"), "path_format", NOT_ROUTED))

    @property
    def method(self) -> str:
        return self._scope["method"] if self._scope["method"] in METHODS else "other"

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            name, value = REQUEST_ID_KEY.encode(), self._id.encode()
            message = {**message, "headers": [*message.get("headers", ()), (name, value)]}
        await self._send(message)

    def log(self, seconds: float) -> None:
        level = "debug"
        if self.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            level = "error"
        elif self.status >= HTTPStatus.BAD_REQUEST:
            level = "info"
        getattr(_log, level)("request", status=self.status, milliseconds=round(seconds * 1000, 2))
