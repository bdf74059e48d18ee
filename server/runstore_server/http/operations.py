"""For operators: liveness, readiness and metrics; and the description of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from fastapi import Depends, FastAPI
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.feed import FeedStore
from starlette.responses import HTMLResponse, Response

from runstore_server.edge.health import Health
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.metrics import CONTENT_TYPE, LAGS, Metrics
from runstore_server.http.docs_page import docs_page
from runstore_server.http.openapi import openapi_document
from runstore_server.http.responses import NO_STORE, JsonResponse
from runstore_server.http.visitors import known


class Operations:
    """What probes and Prometheus ask for."""

    def __init__(
        self,
        app: FastAPI,
        feed: FeedStore,
        health: Health,
        lifecycle: Lifecycle,
        metrics: Metrics,
        *,
        asks: Sequence[Any] = (),
    ) -> None:
        """`asks` is what `/metrics` asks of its caller."""
        self._feed = feed
        self._health = health
        self._lifecycle = lifecycle
        self._metrics = metrics
        _add(app, {"/livez": self.livez, "/readyz": self.readyz})
        _add(app, {"/metrics": self.metrics}, asks)

    async def livez(self) -> Response:
        """The process is running."""
        return JsonResponse({"status": "alive"})

    async def readyz(self) -> Response:
        """The server takes requests and the database answers; with how far the work on the feed is
        behind, and the store's warnings, if any.
        """
        self._lifecycle.check()
        if not self._health.is_serving:
            raise StorageUnavailable
        lag = {name: asdict(await self._feed.lag(duty)) for duty, (name, _) in LAGS.items()}
        warnings = list(self._health.warnings)
        found = {"warnings": warnings} if warnings else {}
        return JsonResponse({"status": "ready", "lag": lag, **found})

    async def metrics(self) -> Response:
        """Metrics of this process and of the feed, for Prometheus."""
        with suppress(StorageUnavailable):  # the other metrics are still useful
            await self._metrics.read_feed(self._feed)
        return Response(self._metrics.text(), headers={**NO_STORE, "Content-Type": CONTENT_TYPE})


class Description:
    """The API's description of itself."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        _add(app, {"/openapi.json": self.openapi, "/docs": self.docs}, [Depends(known)])

    async def openapi(self) -> Response:
        """The OpenAPI document."""
        return JsonResponse(openapi_document(self._app))

    async def docs(self) -> Response:
        """The OpenAPI document as a page."""
        return HTMLResponse(docs_page(openapi_document(self._app)), headers=NO_STORE)


def _add(
    app: FastAPI,
    endpoints: Mapping[str, Callable[[], Awaitable[Response]]],
    asks: Sequence[Any] = (),
) -> None:
    for path, endpoint in endpoints.items():
        app.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            response_model=None,
            include_in_schema=False,
            dependencies=asks,
        )
