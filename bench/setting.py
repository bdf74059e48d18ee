"""What figures are measured in: a Postgres, load generators, servers, and how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psutil
from runstore_migrations import schema as schemas
from runstore_storage.database.opening import quoted

from bench import servers
from bench.load import Generators
from bench.servers import Server

SETTLE_SECONDS = 120
POLL_SECONDS = 0.05

_IS_SETTLED = """
    SELECT NOT EXISTS (SELECT FROM {schema}.outbox) AND coalesce(min(position), 0) >=
        (SELECT coalesce(max(last_position), 0) FROM {schema}.feed)
    FROM {schema}.duties WHERE name NOT IN ('removals', 'retention')
"""


@dataclass(frozen=True, slots=True)
class Options:
    rounds: int = 5
    seconds: float = 3.0
    events: int = 1_000_000
    sizes: tuple[int, ...] = (100_000, 1_000_000)
    calls: int = 200


@dataclass(frozen=True, slots=True)
class Setting:
    """Servers are started by figures and end with them; schemas stay until the end."""

    options: Options
    url: str
    postgres: psutil.Process
    folder: Path
    generators: Generators
    database: asyncpg.Pool
    long_runs: dict[tuple[str, int], str] = field(default_factory=dict)

    @asynccontextmanager
    async def server(
        self, schema: str = "runstore", *, workers: int = 1, **environment: str
    ) -> AsyncIterator[Server]:
        """Our server, on a schema that is made where it is missing."""
        await schemas.upgrade(self.url, schema)
        async with servers.runstore(
            self.url, self.folder, schema=schema, workers=workers, **environment
        ) as server:
            yield server

    @asynccontextmanager
    async def server_and_relay(self, schema: str = "runstore") -> AsyncIterator[Server]:
        """A server that does no duties, and a relay that does them."""
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(self.server(schema, RUNSTORE_RELAY="false"))
            await stack.enter_async_context(servers.relay(self.url, self.folder, schema=schema))
            yield server

    @asynccontextmanager
    async def echo(self) -> AsyncIterator[Server]:
        async with servers.echo(self.folder) as server:
            yield server

    async def new_runs(self, server: Server, count: int) -> list[str]:
        answer = await self.generators.one("appends:new_runs", address=server.address, count=count)
        runs: list[str] = answer["runs"]
        return runs

    async def numbers(self, runs: list[str], schema: str = "runstore") -> list[int]:
        """The store's own numbers of runs."""
        found = await self.database.fetch(
            f"SELECT run_id, run FROM {quoted(schema)}.runs WHERE run_id = ANY($1)", runs
        )
        number = dict(found)
        return [number[run_id] for run_id in runs]

    async def settled(self, schema: str = "runstore") -> float:
        """Wait until all that was appended is published, counted and indexed; how long it took.

        Otherwise the work one side leaves behind would slow the other.
        """
        began, query = time.perf_counter(), _IS_SETTLED.format(schema=quoted(schema))
        async with asyncio.timeout(SETTLE_SECONDS):
            while not await self.database.fetchval(query):  # noqa: ASYNC110 - it is in Postgres
                await asyncio.sleep(POLL_SECONDS)
        return time.perf_counter() - began

    def split(self, **each: Any) -> list[dict[str, Any]]:
        """The same job for every generator; lists are shared out among them."""
        count = len(self.generators.processes)
        return [
            {
                name: value[place::count] if isinstance(value, list) else value
                for name, value in each.items()
            }
            for place in range(count)
        ]
