"""The asynchronous client."""

from runstore.aio.artifacts import AsyncArtifacts
from runstore.aio.client import AsyncClient, connect
from runstore.aio.configs import AsyncConfigs
from runstore.aio.feed import AsyncFeed
from runstore.aio.run import AsyncResumed, AsyncRun

__all__ = [
    "AsyncArtifacts",
    "AsyncClient",
    "AsyncConfigs",
    "AsyncFeed",
    "AsyncResumed",
    "AsyncRun",
    "connect",
]
