"""RunService, put together from the services of its nouns."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

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

RPCS = tuple(DESCRIPTOR.services_by_name["RunService"].methods_by_name)


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
    methods = {rpc: _method(nouns, rpc) for rpc in RPCS}
    return cast("RunServiceServicer", SimpleNamespace(**methods))


def _method(nouns: tuple[object, ...], rpc: str) -> Any:
    """The one method of this name; an RPC that no noun or several have is a defect."""
    (method,) = [getattr(noun, rpc) for noun in nouns if hasattr(noun, rpc)]
    return method
