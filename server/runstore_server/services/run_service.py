"""RunService, put together from its nouns."""

from __future__ import annotations

from runstore.v1.run_service_pb2_grpc import RunServiceServicer
from runstore_storage.contract.store import Store

from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.services.events import Events
from runstore_server.services.outputs import Outputs
from runstore_server.services.replays import Replays
from runstore_server.services.runs import Runs
from runstore_server.services.search import Search
from runstore_server.services.snapshots import Snapshots
from runstore_server.services.statistics import Statistics


class RunService(Runs, Replays, Events, Snapshots, Outputs, Search, Statistics, RunServiceServicer):
    """Each RPC stands in the module of its noun."""

    def __init__(self, store: Store, lifecycle: Lifecycle, *, heartbeat_seconds: float) -> None:
        Events.__init__(self, store, lifecycle, heartbeat_seconds=heartbeat_seconds)
