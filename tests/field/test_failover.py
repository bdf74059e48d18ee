"""A primary that hands over to another while connections to it stay open."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import pytest
from conftest import make_store
from database import data_folder
from field.postgres import PostgresServer
from field.switch import TcpSwitch
from runstore_migrations import schema
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.opening import UnusableDatabase, connect
from runstore_storage.postgres import PostgresStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RECOVERY_SECONDS = 10

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

            first.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            first.execute("SELECT pg_reload_conf()")
            second.promote()
            switch.point_to(second.port)
            moved = time.monotonic()
            await append(store, key)
            late = (await repeated(lambda: store.save_run(NewRun("acme", "late")))).run.key
            taken = time.monotonic() - moved
            for _ in range(50):
                assert (await repeated(lambda: store.get_run(late))).last_seq == 0
            await store.check()
            async with asyncio.timeout(30):
                while listening(second) != "1" or listening(first) != "0":  # noqa: ASYNC110 - the other side is a database
                    await asyncio.sleep(0.1)
        finally:
            await store.close()

    assert taken < RECOVERY_SECONDS


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
