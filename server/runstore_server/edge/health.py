"""grpc.health.v1: SERVING while the database answers and accepts writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from grpc_health.v1 import health, health_pb2
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.store import Store

INTERVAL_SECONDS = 1.0
TIMEOUT_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Servicer(health.aio.HealthServicer):
    """Adds List, which the package's own servicer lacks."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self._names = names

    async def List(self, _request: Any, context: Any) -> Any:  # noqa: N802 - the RPC's name
        """Return the health of each name."""
        asked = {name: health_pb2.HealthCheckRequest(service=name) for name in self._names}
        statuses = {name: await self.Check(check, context) for name, check in asked.items()}
        return health_pb2.HealthListResponse(  # type: ignore[attr-defined]  # stubs are older
            statuses=statuses
        )


class Health:
    """Sets the health of the server ("") and of each service to that of the database.

    The health of the health service itself is that of the process: SERVING as long as it answers,
    so that a server is not restarted because its database is down.
    """

    def __init__(self, store: Store, services: tuple[str, ...]) -> None:
        self._names = ("", *services)
        self.servicer = Servicer((*self._names, health.SERVICE_NAME))
        self._store = store
        self._is_serving: bool | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_serving(self) -> bool:
        """True if the database answered the last check and the server is not shutting down."""
        return bool(self._is_serving)

    @property
    def warnings(self) -> Sequence[str]:
        """What will make writes fail unless an operator sees to it."""
        return self._store.warnings

    async def start(self) -> None:
        """Check once, then keep checking."""
        await self.servicer.set(health.SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)
        await self._check()
        self._task = asyncio.create_task(self._keep_checking())

    async def stop(self) -> None:
        """Report NOT_SERVING from now on."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._is_serving = False
        await self.servicer.enter_graceful_shutdown()

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_SECONDS)
            await self._check()

    async def _check(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._store.check()
            is_serving = True
        except (StorageUnavailable, TimeoutError):
            is_serving = False
        except Exception:
            _log.exception("unexpected failure of the health check")
            is_serving = False
        if is_serving == self._is_serving:
            return
        self._is_serving = is_serving
        status = health_pb2.HealthCheckResponse
        for name in self._names:
            await self.servicer.set(name, status.SERVING if is_serving else status.NOT_SERVING)
        _log.info("health", serving=is_serving)
