"""The asynchronous client."""

from runstore.aio.artifacts import AsyncArtifacts
from runstore.aio.client import AsyncClient, AsyncResumed, AsyncRun, connect
from runstore.aio.configs import AsyncConfigs
from runstore.aio.feed import AsyncFeed

__all__ = [
    "AsyncArtifacts",
    "AsyncClient",
    "AsyncConfigs",
    "AsyncFeed",
    "AsyncResumed",
    "AsyncRun",
    "connect",
]
