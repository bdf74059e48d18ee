"""The asynchronous client."""

from runstore.aio.admin import AsyncAdmin
from runstore.aio.appender import Appender
from runstore.aio.artifacts import AsyncArtifacts
from runstore.aio.client import AsyncClient, connect
from runstore.aio.configs import AsyncConfigs
from runstore.aio.feed import AsyncFeed
from runstore.aio.run import AsyncResumed, AsyncRun
from runstore.signatures import show_fields

__all__ = [
    "AsyncAdmin",
    "AsyncArtifacts",
    "AsyncClient",
    "AsyncConfigs",
    "AsyncFeed",
    "AsyncResumed",
    "AsyncRun",
    "connect",
]

show_fields(Appender, AsyncAdmin, AsyncArtifacts, AsyncClient, AsyncConfigs, AsyncFeed, AsyncRun)
