"""How the client connects: the address, the channel's settings, the stubs."""

from __future__ import annotations

import json
import os
import re
from typing import Any, NoReturn

from runstore.arguments import InvalidArgument, pair, seconds, sequence, text
from runstore.targets import checked_target, is_loopback
from runstore.tokens import Metadata
from runstore.v1.admin_service_pb2_grpc import AdminServiceStub
from runstore.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from runstore.v1.config_service_pb2_grpc import ConfigServiceStub
from runstore.v1.feed_service_pb2_grpc import FeedServiceStub
from runstore.v1.run_service_pb2_grpc import RunServiceStub

DEFAULT_TARGET = "localhost:7411"
TARGET_VARIABLE = "RUNSTORE_TARGET"
DEFAULT_TIMEOUT = 10.0
DEFAULT_PROJECT = "default"

# The standard health RPC. Its messages have one field each, number 1, a string and an enum. On the
# wire they equal StringValue and Int32Value, which saves the client a dependency.
HEALTH_METHOD = "/grpc.health.v1.Health/Check"
SERVING = 1

# Calls go in turn to every address of the target, such as those of a headless Kubernetes service.
#
# There is no retryPolicy, and none is taken from DNS: `retry` is the only policy. gRPC's would
# retry within each of our attempts, which multiplies them when a server can least afford it, and it
# ignores RetryInfo, by which a server says how long to wait. Its transparent retries stay on: they
# repeat only calls that no server has begun, such as one that met a closing connection.
SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})

# Reconnect fast; find dead connections by pings the server permits; accept responses of any size.
# gRPC's name for how long an attempt to connect may take is "min_reconnect_backoff".
OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)

_METADATA_KEY = re.compile(r"[0-9a-z_.-]+")


def options_of(target: str) -> tuple[tuple[str, int | str], ...]:
    """The settings of a channel to the address; what is for this machine goes through no proxy."""
    return (*OPTIONS, ("grpc.enable_http_proxy", 0)) if is_loopback(target) else OPTIONS


def target_of(target: str | None) -> str:
    """The given address, else the environment's, else the default; checked."""
    return checked_target(target or os.environ.get(TARGET_VARIABLE) or DEFAULT_TARGET)


def checked_timeout(timeout: float) -> float:
    """The timeout; raise `InvalidArgument` for one that no call can keep."""
    if seconds(timeout, "timeout") == 0:
        raise InvalidArgument("timeout", "must be more than 0 seconds")
    return timeout


def checked_metadata(metadata: Metadata) -> tuple[tuple[str, str], ...]:
    """The metadata; raise `InvalidArgument` for what gRPC cannot send as such."""
    given = sequence(metadata, "pairs of a key and a value", "metadata")
    for index, each in enumerate(given):
        key, value = pair(each, f"metadata[{index}]")
        if not _METADATA_KEY.fullmatch(text(key, f"metadata[{index}][0]")):
            raise InvalidArgument(
                f"metadata[{index}][0]", f"must be a key in lower case, is {key!r}"
            )
        if not key.endswith("-bin"):
            text(value, f"metadata[{index}][1]")
    return tuple(given)


class Stubs:
    """The RPCs of all services over one channel, sync or async."""

    def __init__(self, channel: Any) -> None:
        self.admin_service: Any = AdminServiceStub(channel)
        self.run_service: Any = RunServiceStub(channel)
        self.feed_service: Any = FeedServiceStub(channel)
        self.config_service: Any = ConfigServiceStub(channel)
        self.artifact_service: Any = ArtifactServiceStub(channel)

    def method(self, service: str, name: str) -> Any:
        """What calls one RPC."""
        return getattr(getattr(self, service), name)


class HomeProcess:
    """The process that a connection works in: neither pickling nor forking takes it to another."""

    def __init__(self) -> None:
        self._process_id = os.getpid()

    def check(self) -> None:
        """Raise RuntimeError in a forked child, where a call would hang."""
        if os.getpid() != self._process_id:
            raise RuntimeError(
                f"this client was opened in process {self._process_id} and does not work in its"
                f" fork {os.getpid()}: open a client in each process"
            )


def refuse_to_pickle() -> NoReturn:
    """Raise the TypeError of a client, or of a handle made by it, that is pickled."""
    raise TypeError(
        "a client, its handles (runs, feeds, configs, artifacts, appenders) and a RunstoreSaver"
        " cannot be pickled or deep-copied: open a client in the other process, and pass ids or"
        " `run.ref` to it"
    )
