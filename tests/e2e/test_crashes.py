"""What was acknowledged is there, whatever was killed in the middle."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
import runstore
from conftest import make_store
from database import data_folder
from e2e.load import Load, under_load
from e2e.servers import ServerProcess
from runstore_migrations import schema
from runstore_storage.contract.events import Event
from runstore_storage.contract.runs import NewRun
from runstore_storage.embedded.postgres import EmbeddedPostgres

SERVER_KILLS = 20
DATABASE_KILLS = 5
PATIENT = 300.0


@pytest.fixture
async def patient(server: ServerProcess, project: str) -> AsyncIterator[runstore.AsyncClient]:
    async with runstore.connect(server.target, project=project, timeout=PATIENT) as connected:
        yield connected


@pytest.mark.timeout(1800)
@pytest.mark.slow
async def test_a_server_killed_20_times_loses_and_repeats_nothing(
    server: ServerProcess, patient: runstore.AsyncClient
) -> None:
    async def disturb(load: Load) -> None:
        for _ in range(SERVER_KILLS):
            await load.some_progress(random.randint(1, 60))
            server.kill()
            server.start()

    await under_load(patient, disturb)


@pytest.mark.timeout(1800)
@pytest.mark.slow
async def test_two_servers_killed_in_turn_serve_each_others_streams(
    server: ServerProcess, environment: dict[str, str], project: str, tmp_path: Path
) -> None:
    second = ServerProcess(tmp_path / "second.log", environment)
    second.start()
    both = f"ipv4:127.0.0.1:{server.port},127.0.0.1:{second.port}"

    async def disturb(load: Load) -> None:
        for number in range(6):
            await load.some_progress(random.randint(1, 60))
            victim = (server, second)[number % 2]
            victim.kill()
            victim.start()
            await asyncio.to_thread(victim.wait_until_serving)

    try:
        async with runstore.connect(both, project=project, timeout=PATIENT) as client:
            await under_load(client, disturb)
    finally:
        second.stop()


async def test_a_stream_on_one_server_sees_what_another_commits_at_once(
    server: ServerProcess, environment: dict[str, str], project: str, tmp_path: Path
) -> None:
    second = ServerProcess(
        tmp_path / "second.log", environment | {"RUNSTORE_POLL_INTERVAL": "3600"}
    )
    second.start()
    await asyncio.to_thread(second.wait_until_serving)
    try:
        async with (
            runstore.connect(server.target, project=project) as here,
            runstore.connect(second.target, project=project, timeout=PATIENT) as there,
        ):
            run = await here.save_run(run_id="run")
            watching = asyncio.create_task(_collect(there.run("run")))
            for _ in range(100):
                await run.append("tick")
            await run.complete()

            seqs = await asyncio.wait_for(watching, 60)
    finally:
        second.stop()
    assert seqs == list(range(1, 102))


async def _collect(run: runstore.AsyncRun) -> list[int]:
    return [event.seq async for event in run.events(follow=True, heartbeat_seconds=0.5)]


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    with data_folder() as folder, EmbeddedPostgres(folder) as postgres:
        yield postgres


@pytest.mark.timeout(1800)
@pytest.mark.slow
async def test_a_database_killed_5_times_loses_and_repeats_nothing(
    own_postgres: EmbeddedPostgres, project: str, tmp_path: Path
) -> None:
    await schema.upgrade(own_postgres.url, "runstore")
    server = ServerProcess(tmp_path / "server.log", {"RUNSTORE_DATABASE_URL": own_postgres.url})
    server.start()
    server.wait_until_serving()

    async def disturb(load: Load) -> None:
        for _ in range(DATABASE_KILLS):
            await load.some_progress(random.randint(1, 60))
            os.kill(own_postgres.pid, signal.SIGKILL)
            await asyncio.to_thread(own_postgres.stop)
            await asyncio.to_thread(own_postgres.start)

    try:
        async with runstore.connect(server.target, project=project, timeout=PATIENT) as client:
            await under_load(client, disturb)
    finally:
        server.stop()


class CuttingProxy:
    """Passes bytes between a client and Postgres, and cuts a connection at a COMMIT's answer.

    It is that on which some text was sent: the store's own duties commit as well.
    """

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self.cut_commit_of: bytes | None = None
        self.cuts = 0
        self._asked: set[asyncio.StreamWriter] = set()
        self._handlers: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def serving(self, path: str) -> AsyncIterator[None]:
        async with await asyncio.start_unix_server(self._connected, path):
            yield
        await asyncio.gather(*filter(None, self._handlers))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self._socket_path)
        self._handlers.add(asyncio.current_task())
        try:
            # Either end may hang up while bytes are on their way to it.
            with suppress(ConnectionError):
                await asyncio.gather(
                    self._pump(reader, up_writer, writer, is_answer=False),
                    self._pump(up_reader, writer, up_writer, is_answer=True),
                )
        finally:
            writer.close()
            up_writer.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        *,
        is_answer: bool,
    ) -> None:
        while data := await source.read(1 << 16):
            if not is_answer and self.cut_commit_of and self.cut_commit_of in data:
                self.cut_commit_of = None
                self._asked.add(sink)
            if is_answer and back in self._asked and b"COMMIT\0" in data:
                # Postgres has committed; nobody will hear of it.
                self._asked.remove(back)
                self.cuts += 1
                sink.transport.abort()
                back.transport.abort()
                return
            if sink.is_closing():
                return
            sink.write(data)
        sink.close()


async def test_a_connection_cut_at_commit_is_healed_by_a_retry(
    own_postgres: EmbeddedPostgres, project: str, tmp_path: Path
) -> None:
    await schema.upgrade(own_postgres.url, "runstore")
    sockets = own_postgres.url.partition("host=")[2].partition("&")[0]
    proxy = CuttingProxy(f"{sockets}/.s.PGSQL.5432")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(data_folder())
        await stack.enter_async_context(proxy.serving(str(folder / ".s.PGSQL.5432")))
        store = make_store(f"postgresql://postgres@/postgres?host={folder}&port=5432", "runstore")
        key = (await store.save_run(NewRun(project, "run"))).run.key
        event = [Event("a", event_id="heard-of-by-nobody")]
        proxy.cut_commit_of = b"heard-of-by-nobody"

        with pytest.raises(Exception, match="unknown"):
            await store.append_events(key, event)
        (again,) = await store.append_events(key, event)

        assert (proxy.cuts, again.seq, again.deduplicated) == (1, 1, True)
        assert (await store.get_run(key)).last_seq == 1
        await store.close()
