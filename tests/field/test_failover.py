"""A primary that hands over to another while connections to it stay open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import pytest
import runstore
from conftest import make_served_store, make_store
from database import data_folder
from field.postgres import PostgresServer
from field.switch import TcpSwitch
from runstore_migrations import schema
from runstore_server.app import App
from runstore_server.settings import Settings
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.opening import UnusableDatabase, connect
from runstore_storage.postgres import PostgresStore

pytestmark = pytest.mark.slow

RECOVERY_SECONDS = 30

T = TypeVar("T")


@pytest.fixture
def pair() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary and its standby, which has everything before a commit returns."""
    with data_folder() as folder:
        for name in ("first", "second"):
            (folder / name).mkdir(mode=0o711)
        first = PostgresServer(folder / "first").create("--encoding=UTF8", "--locale=C").start()
        asyncio.run(schema.upgrade(first.url, "runstore"))
        second = PostgresServer(folder / "second").follow(first).start()
        first.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        first.execute("SELECT pg_reload_conf()")
        yield first, second
        second.stop()
        first.stop()


async def test_after_a_switch_over_all_connections_move_and_no_read_is_stale(
    pair: tuple[PostgresServer, PostgresServer],
) -> None:
    first, second = pair
    with TcpSwitch(first.port) as switch:
        store = make_store(first.url_of("postgres", port=switch.port), "runstore")
        try:
            key = (await store.save_run(NewRun("acme", "run"))).run.key
            await append(store, key)
            await asyncio.gather(*(store.get_run(key) for _ in range(10)))
            assert listening(first) == "1"

            switch_over(first, second, switch)
            moved = time.monotonic()
            await append(store, key)
            late = (await repeated(lambda: store.save_run(NewRun("acme", "late")))).run.key
            taken = time.monotonic() - moved
            for _ in range(50):
                assert (await repeated(lambda: store.get_run(late))).last_seq == 0
            await store.check()
            async with asyncio.timeout(60):
                while listening(second) != "1" or listening(first) != "0":  # noqa: ASYNC110 - the other side is a database
                    await asyncio.sleep(0.1)
        finally:
            await store.close()

    assert taken < RECOVERY_SECONDS


async def test_after_a_switch_over_no_read_and_no_stream_is_served_by_the_old_primary(
    pair: tuple[PostgresServer, PostgresServer],
) -> None:
    first, second = pair
    key = RunKey("acme", "run")
    async with AsyncExitStack() as stack:
        switch = stack.enter_context(TcpSwitch(first.port))
        here = await stack.enter_async_context(serving(first.url_of("postgres", port=switch.port)))
        run = await here.client.save_run(run_id="run")
        await run.append("before")
        followed, fed = Collected(), Collected()
        events = run.events(follow=True, heartbeat_seconds=0.5)
        following = [
            asyncio.create_task(followed.take(event.seq async for event in events)),
            asyncio.create_task(
                fed.take(entry.event.seq async for entry in here.client.feed.entries())
            ),
        ]
        await followed.until(1)
        await fed.until(1)
        await asyncio.gather(*(door(here) for door in DOORS for _ in range(10)))

        switch_over(first, second, switch)
        elsewhere = make_store(second.url, "runstore")
        try:
            await append(elsewhere, key)
        finally:
            await elsewhere.close()
        answers = await asyncio.gather(*(door(here) for door in DOORS for _ in range(10)))
        await run.append("after")
        await followed.until(3)
        await fed.until(3)
        for each in following:
            each.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    assert answers == [2] * len(answers)
    assert (followed.seqs, fed.seqs) == ([1, 2, 3], [1, 2, 3])


async def test_a_standby_is_refused_and_of_several_hosts_the_primary_is_taken(
    pair: tuple[PostgresServer, PostgresServer],
) -> None:
    first, second = pair
    hosts = f"127.0.0.1:{second.port},127.0.0.1:{first.port}"

    with pytest.raises(UnusableDatabase, match="takes no writes"):
        await connect(second.url, schema="runstore", name="test")
    for attributes in ("", "?target_session_attrs=any", "?target_session_attrs=prefer-standby"):
        url = f"postgresql://postgres@{hosts}/postgres{attributes}"
        conn = await connect(url, schema="runstore", name="test")
        assert await conn.fetchval("SELECT pg_is_in_recovery()") is False
        await conn.close()


@pytest.mark.parametrize("attributes", ["", "?target_session_attrs=any"])
async def test_a_store_with_several_hosts_goes_to_the_one_that_takes_writes(
    pair: tuple[PostgresServer, PostgresServer], attributes: str
) -> None:
    first, second = pair
    hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
    store = make_store(f"postgresql://postgres@{hosts}/postgres{attributes}", "runstore")
    try:
        key = (await store.save_run(NewRun("acme", "run"))).run.key
        await append(store, key)
        first.stop()
        second.promote()
        second.execute("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")

        await append(store, key)
        found = await repeated(lambda: store.get_run(key))
    finally:
        await store.close()

    assert found.last_seq == 2


def switch_over(first: PostgresServer, second: PostgresServer, switch: TcpSwitch) -> None:
    """Make the first read-only and the second the primary; open connections stay at the first."""
    first.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    while first.execute("SHOW default_transaction_read_only") != "on":
        pass
    second.promote()
    switch.point_to(second.port)


@dataclass(frozen=True)
class Serving:
    """A server in this process, and clients of it."""

    client: runstore.AsyncClient
    http: httpx.AsyncClient


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[Serving]:
    settings = Settings(
        database_url=url, db_schema="runstore", port=0, http_port=0, drain_seconds=5
    )
    app = App(settings, make_served_store(url, "runstore"))
    address = await app.start()
    try:
        async with (
            runstore.connect(address, project="acme", timeout=60) as client,
            httpx.AsyncClient(
                base_url=f"http://{app.http_address}/api/v1",
                headers={"X-Runstore-Project": "acme"},
                timeout=180,
            ) as http,
        ):
            yield Serving(client, http)
    finally:
        await app.drain()


async def _get(here: Serving, path: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while (answer := await here.http.get(path)).status_code == 503:
            pass
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


async def _run(here: Serving) -> int:
    return (await here.client.run("run").get()).last_seq


async def _listing(here: Serving) -> int:
    (found,) = [each async for each in here.client.list_runs()]
    return found.last_seq


async def _events(here: Serving) -> int:
    return max([event.seq async for event in here.client.run("run").events()])


async def _http_run(here: Serving) -> int:
    return int((await _get(here, "/runs/run"))["run"]["last_seq"])


async def _http_events(here: Serving) -> int:
    return int((await _get(here, "/runs/run/events"))["events"][-1]["seq"])


Door = Callable[[Serving], Awaitable[int]]
DOORS: tuple[Door, ...] = (_run, _listing, _events, _http_run, _http_events)
"""Each reads the last seq of the run."""


class Collected:
    """What a stream has yielded."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self._grown = asyncio.Event()

    async def take(self, seqs: AsyncIterator[int]) -> None:
        async for seq in seqs:
            self.seqs.append(seq)
            self._grown.set()

    async def until(self, seq: int) -> None:
        async with asyncio.timeout(60):
            while seq not in self.seqs:
                self._grown.clear()
                await self._grown.wait()


def listening(server: PostgresServer) -> str:
    """How many connections wait for wake-ups on a server."""
    return server.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'runstore wake-ups'"
    )


async def append(store: PostgresStore, key: RunKey) -> None:
    """Append as a client does, which repeats what was not answered under the same id."""
    event = Event("tick", event_id=f"{time.monotonic_ns()}")
    await repeated(lambda: store.append_events(key, [event]))


async def repeated(call: Callable[[], Awaitable[T]]) -> T:
    """The answer of a call, made as a client makes it: outages, and nothing else, are repeated."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await call()
            except StorageUnavailable:
                await asyncio.sleep(0.05)
