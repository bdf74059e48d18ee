"""RunService, put together from the services of its nouns."""

from __future__ import annotations

from typing import cast

from runstore.v1.run_service_pb2 import DESCRIPTOR
from runstore.v1.run_service_pb2_grpc import RunServiceServicer
from runstore_storage.contract.store import Store

from runstore_server.edge.admission import Admission
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.unread import Unread
from runstore_server.services.events import Events
from runstore_server.services.outputs import Outputs
from runstore_server.services.replays import Replays
from runstore_server.services.runs import Runs
from runstore_server.services.search import Search
from runstore_server.services.snapshots import Snapshots
from runstore_server.services.statistics import Statistics
from runstore_server.services.table import service_of


def run_service(
    store: Store,
    lifecycle: Lifecycle,
    unread: Unread,
    admission: Admission,
    *,
    default_heartbeat: float,
) -> RunServiceServicer:
    """RunService as a table: each RPC of the contract is the method of its noun's service."""
    nouns = (
        Runs(store),
        Replays(store),
        Events(store, lifecycle, unread, admission, default_heartbeat=default_heartbeat),
        Snapshots(store),
        Outputs(store),
        Search(store.search),
        Statistics(store.statistics),
    )
    return cast("RunServiceServicer", service_of(DESCRIPTOR, "RunService", nouns))
