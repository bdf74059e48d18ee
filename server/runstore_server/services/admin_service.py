"""AdminService, put together from the services of its nouns."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from runstore.v1.admin_service_pb2 import DESCRIPTOR
from runstore.v1.admin_service_pb2_grpc import AdminServiceServicer
from runstore_storage.contract.store import Store

from runstore_server.edge.unread import Unread
from runstore_server.services.acts import Acts
from runstore_server.services.admin import Admin
from runstore_server.services.archives import Archives
from runstore_server.services.erasures import Erasures
from runstore_server.services.holds import Holds
from runstore_server.services.removals import Removals
from runstore_server.services.retention import Retention
from runstore_server.services.table import service_of


def admin_service(
    store: Store, acts: Acts, unread: Unread, *, consumer_idle: timedelta
) -> AdminServiceServicer:
    """AdminService as a table: each RPC of the contract is the method of its noun's service."""
    nouns = (
        Admin(store.admin, acts),
        Archives(store.archives, acts, unread),
        Erasures(store.erasures, acts),
        Holds(store.holds, acts),
        Removals(store.removals, acts),
        Retention(store.retention, store.feed, acts, idle=consumer_idle),
    )
    return cast("AdminServiceServicer", service_of(DESCRIPTOR, "AdminService", nouns))
