"""Connections to Postgres whose other end has gone without a word."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import Iterator

import pytest
from conftest import make_store
from database import all_returned, data_folder
from field.postgres import PostgresServer
from field.switch import TcpSwitch
from field.test_failover import append, repeated
from runstore_migrations import schema
from runstore_storage.contract.runs import NewRun
from runstore_storage.database import engine
from runstore_storage.database.connections import Connections
from runstore_storage.database.engine import Database, reading
from runstore_storage.database.opening import connect
from runstore_storage.database.statements import system

pytestmark = pytest.mark.slow

# Measured: 3.6 seconds, and 0.1 for the siblings.
RECOVERY_SECONDS = 20

SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'"


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with data_folder() as folder:
        server = PostgresServer(folder).create("--encoding=UTF8", "--locale=C").start()
        asyncio.run(schema.upgrade(server.url, "runstore"))
        yield server
        server.stop()


async def test_writes_are_accepted_soon_after_every_open_connection_fell_silent(
    postgres: PostgresServer,
) -> None:
    with TcpSwitch(postgres.port) as switch:
        store = make_store(postgres.url_of("postgres", port=switch.port), "runstore")
        try:
            key = (await store.save_run(NewRun("acme", "run"))).run.key
            for _ in range(2):
                await append(store, key)
            await asyncio.gather(*(store.get_run(key) for _ in range(10)))

            switch.fall_silent()
            fell = time.monotonic()
            await asyncio.gather(
                append(store, key),
                repeated(lambda: store.save_run(NewRun("acme", "late"))),
                *(repeated(lambda: store.get_run(key)) for _ in range(5)),
            )
            taken = time.monotonic() - fell
            began = time.monotonic()
            await asyncio.gather(
                append(store, key), *(repeated(lambda: store.get_run(key)) for _ in range(10))
            )
            siblings = time.monotonic() - began
        finally:
            await store.close()

    assert taken < RECOVERY_SECONDS
    assert siblings < RECOVERY_SECONDS / 2


async def test_a_host_that_does_not_answer_holds_up_no_other(postgres: PostgresServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        hosts = f"127.0.0.1:{gone.getsockname()[1]},127.0.0.1:{postgres.port}"
        conn = await connect(f"postgresql://postgres@{hosts}/postgres", schema="a", name="test")

    assert await conn.fetchval("SHOW port") == str(postgres.port)
    await conn.close()


@pytest.mark.parametrize("tracked", ["on", "off"])
async def test_a_statement_that_takes_long_is_left_alone(
    postgres: PostgresServer, tracked: str
) -> None:
    postgres.execute(f"ALTER DATABASE postgres SET track_activities = {tracked}")
    store = make_store(postgres.url, "runstore")
    try:
        async with reading(store._engine) as conn:
            await conn.execute(system("SELECT pg_sleep(6)"))
    finally:
        await store.close()


async def test_a_caller_that_is_cancelled_twice_leaves_no_failure_behind(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
    with TcpSwitch(postgres.port) as switch:
        url = postgres.url_of("postgres", port=switch.port)
        database = Database(Connections(url, schema="runstore"), pool_size=1)

        async def sleep_long() -> None:
            async with reading(database) as conn:
                await conn.execute(system("SELECT pg_sleep(60)"))

        sleeping = asyncio.create_task(sleep_long())
        async with asyncio.timeout(60):
            while postgres.execute(SLEEPING) == "0":  # noqa: ASYNC110 - a database
                await asyncio.sleep(0.05)
        monkeypatch.setattr(engine, "LOCK_SECONDS", 0.5)  # how long a connection is waited for, too
        switch.fall_silent()
        sleeping.cancel()
        await asyncio.wait([sleeping], timeout=0.1)
        sleeping.cancel()
        await asyncio.wait([sleeping])
        assert await all_returned(database, within=60)
        await database.dispose()

    del sleeping
    gc.collect()
    assert complaints == []


async def test_the_kernel_gives_up_a_path_on_which_nothing_comes_back(
    postgres: PostgresServer,
) -> None:
    conn = await connect(postgres.url, schema="runstore", name="test")
    its = conn._transport.get_extra_info("socket")
    try:
        assert its.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert its.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 10_000
    finally:
        await conn.close()
