"""The gRPC services of a server."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.protobuf.descriptor import FileDescriptor
from runstore.v1 import (
    admin_service_pb2,
    artifact_service_pb2,
    config_service_pb2,
    feed_service_pb2,
    run_service_pb2,
)
from runstore.v1.admin_service_pb2_grpc import (
    AdminServiceServicer,
    add_AdminServiceServicer_to_server,
)
from runstore.v1.artifact_service_pb2_grpc import add_ArtifactServiceServicer_to_server
from runstore.v1.config_service_pb2_grpc import add_ConfigServiceServicer_to_server
from runstore.v1.feed_service_pb2_grpc import add_FeedServiceServicer_to_server
from runstore.v1.run_service_pb2_grpc import add_RunServiceServicer_to_server
from runstore_storage.contract.store import Store

from runstore_server.edge.admission import Admission
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.unread import Unread
from runstore_server.services.artifacts import ArtifactService
from runstore_server.services.configs import ConfigService
from runstore_server.services.feed import FeedService
from runstore_server.services.run_service import run_service

FILES: Sequence[FileDescriptor] = (
    run_service_pb2.DESCRIPTOR,
    feed_service_pb2.DESCRIPTOR,
    config_service_pb2.DESCRIPTOR,
    artifact_service_pb2.DESCRIPTOR,
    admin_service_pb2.DESCRIPTOR,
)
SERVICES = tuple(service.full_name for file in FILES for service in file.services_by_name.values())


def add_services(
    server: grpc.aio.Server,
    store: Store,
    admin: AdminServiceServicer,
    lifecycle: Lifecycle,
    unread: Unread,
    admission: Admission,
    *,
    default_heartbeat: float,
) -> None:
    """Serve every service of ours from one store."""
    add_RunServiceServicer_to_server(
        run_service(store, lifecycle, unread, admission, default_heartbeat=default_heartbeat),
        server,
    )
    add_FeedServiceServicer_to_server(
        FeedService(store.feed, lifecycle, unread, default_heartbeat=default_heartbeat), server
    )
    add_ConfigServiceServicer_to_server(ConfigService(store.configs), server)
    add_ArtifactServiceServicer_to_server(ArtifactService(store.artifacts, unread), server)
    add_AdminServiceServicer_to_server(admin, server)
