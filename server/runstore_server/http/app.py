"""The HTTP application, put together from its nouns."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import Depends, FastAPI
from runstore_storage.contract.store import Store
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from runstore_server.edge.admission import Admission
from runstore_server.edge.health import Health
from runstore_server.edge.identity import AUTHORIZATION
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.metrics import Metrics
from runstore_server.edge.requests import REQUEST_ID_KEY
from runstore_server.edge.unread import Unread
from runstore_server.http import problems
from runstore_server.http.events import Events
from runstore_server.http.exchanges import Exchanges
from runstore_server.http.feed import Feed
from runstore_server.http.operations import Description, Operations
from runstore_server.http.outputs import Outputs
from runstore_server.http.parameters.keys import PROJECT_HEADER
from runstore_server.http.parameters.streams import LAST_EVENT_ID
from runstore_server.http.paths import RawPaths
from runstore_server.http.removals import Removals
from runstore_server.http.routing import Api
from runstore_server.http.runs import Runs
from runstore_server.http.snapshots import Snapshots
from runstore_server.http.statistics import Statistics
from runstore_server.http.streams.sse import STREAM_KIND
from runstore_server.http.visitors import operator
from runstore_server.settings import Settings

DESCRIPTION = (
    "Recorded runs over HTTP, read only; runs are written over gRPC."
    " A header or a query parameter names the project. Failures are problem documents (RFC 9457)."
)


def http_app(
    settings: Settings,
    store: Store,
    health: Health,
    lifecycle: Lifecycle,
    metrics: Metrics,
    unread: Unread,
    admission: Admission,
) -> ASGIApp:
    """The application, for a server to serve."""
    metrics.show_limit(STREAM_KIND, settings.http_connections)
    app = FastAPI(
        title="runstore",
        version=version("runstore"),
        description=DESCRIPTION,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.admission = admission
    problems.install(app)
    api = Api(app, lifecycle)
    Runs(api, store)
    Events(api, store, lifecycle, metrics, unread, settings.heartbeat_seconds)
    Snapshots(api, store)
    Outputs(api, store)
    Feed(api, store.feed, lifecycle, metrics, unread, settings.heartbeat_seconds)
    Statistics(api, store.statistics)
    Removals(api, store.removals)
    Operations(app, store.feed, health, lifecycle, metrics, asks=[Depends(operator)])
    Description(app)
    return Exchanges(_with_cors(RawPaths(app), settings.http_cors_origins), lifecycle, metrics)


def ops_app(store: Store, health: Health, lifecycle: Lifecycle, metrics: Metrics) -> ASGIApp:
    """What operators ask for alone, for a listener of its own."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    problems.install(app)
    Operations(app, store.feed, health, lifecycle, metrics)
    return Exchanges(app, lifecycle, metrics)


def _with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET"],
        allow_headers=[PROJECT_HEADER, LAST_EVENT_ID, REQUEST_ID_KEY, AUTHORIZATION],
        expose_headers=[REQUEST_ID_KEY],
    )
