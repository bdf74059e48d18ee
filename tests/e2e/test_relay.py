"""The feed holds each event once and in order, whoever relays and whoever is killed."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
import runstore
from conftest import server_environment
from database import ask
from e2e.servers import ServerProcess
from e2e.test_cli import cli

RUNS, WRITERS, KILLS = 200, 16, 10
PATIENT = 300.0


@pytest.fixture
def environment(database_url: str, own_schema: str) -> dict[str, str]:
    """A schema of its own, so that the feed holds what the test wrote."""
    return server_environment(database_url, own_schema) | {"RUNSTORE_LOG_FORMAT": "json"}


@pytest.fixture
def second(tmp_path: Path, environment: dict[str, str]) -> Iterator[ServerProcess]:
    made = ServerProcess(tmp_path / "second.log", environment)
    made.start()
    made.wait_until_serving()
    yield made
    made.stop()


async def eventually(environment: dict[str, str], sql: str, rows: int) -> None:
    """Return when the statement finds so many rows."""
    async with asyncio.timeout(60):
        while len(await ask(environment, sql)) < rows:  # noqa: ASYNC110 - another process's work
            await asyncio.sleep(0.05)


async def leader(environment: dict[str, str], servers: list[ServerProcess]) -> ServerProcess:
    """The server that relays, as soon as one does."""
    async with asyncio.timeout(60):
        while True:
            ((holder,),) = await ask(environment, "SELECT holder FROM duties WHERE name = 'relay'")
            for server in servers:
                assert server.process
                if f"/{server.process.pid}/" in str(holder):
                    return server
            await asyncio.sleep(0.1)


class Reader:
    """A consumer that commits now and then, and starts over from there when it is told to."""

    def __init__(self, client: runstore.AsyncClient) -> None:
        self.client = client
        self.seen: dict[int, tuple[str, int]] = {}
        self.restarts = 0

    async def read_until(self, count: int) -> None:
        while len(self.seen) < count:
            async with aclosing(
                self.client.feed.entries(consumer="reader", heartbeat_seconds=0.5)
            ) as entries:
                last = 0
                async for entry in entries:
                    assert entry.position > last
                    last = entry.position
                    place = entry.run_id, entry.event.seq
                    assert self.seen.setdefault(entry.position, place) == place
                    if random.random() < 0.01:
                        await self.client.feed.commit("reader", entry.position)
                    if random.random() < 0.005 or len(self.seen) == count:
                        self.restarts += 1
                        break


@pytest.mark.timeout(1800)
@pytest.mark.slow
async def test_the_feed_is_whole_and_in_order_though_leaders_are_killed(
    server: ServerProcess, second: ServerProcess, environment: dict[str, str]
) -> None:
    both = f"ipv4:127.0.0.1:{server.port},127.0.0.1:{second.port}"
    stopping, written = asyncio.Event(), dict.fromkeys((f"run{n}" for n in range(RUNS)), 0)

    async def write(client: runstore.AsyncClient, number: int) -> None:
        mine = [run_id for place, run_id in enumerate(written) if place % WRITERS == number]
        for run_id in mine:
            await client.save_run(run_id=run_id)
        while not stopping.is_set():
            run_id = random.choice(mine)
            count = random.randint(1, 5)
            await client.run(run_id).append_many([runstore.NewEvent("tick")] * count)
            written[run_id] += count

    async with runstore.connect(both, project="p", timeout=PATIENT) as client:
        reader = Reader(client)
        reading = asyncio.create_task(reader.read_until(1 << 60))
        writers = [asyncio.create_task(write(client, number)) for number in range(WRITERS)]
        for _ in range(KILLS):
            victim = await leader(environment, [server, second])
            victim.kill()
            other = second if victim is server else server
            assert await leader(environment, [other]) is other
            victim.start()
            await asyncio.to_thread(victim.wait_until_serving)
        stopping.set()
        await asyncio.gather(*writers)
        total = sum(written.values())
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await asyncio.wait_for(reader.read_until(total), PATIENT)

    assert [reader.seen[position] for position in sorted(reader.seen)] == await ask(
        environment,
        "SELECT r.run_id, e.seq FROM feed f JOIN runs r USING (run) JOIN events e"
        " ON e.run = f.run AND e.seq BETWEEN f.first_seq AND f.last_seq"
        " ORDER BY f.last_position - f.last_seq + e.seq",
    )
    assert sorted(reader.seen) == list(range(1, total + 1))
    assert reader.restarts > 1
    for run_id, count in written.items():
        seqs = [seq for _, (run, seq) in sorted(reader.seen.items()) if run == run_id]
        assert seqs == list(range(1, count + 1))
    assert await ask(environment, "SELECT * FROM outbox") == []


async def test_a_relay_process_publishes_for_servers_that_do_not(
    environment: dict[str, str], tmp_path: Path
) -> None:
    server = ServerProcess(
        tmp_path / "server.log",
        environment | {"RUNSTORE_RELAY": "false", "RUNSTORE_POLL_INTERVAL": "3600"},
    )
    relay = ServerProcess(tmp_path / "relay.log", environment, "relay")
    server.start()
    try:
        await asyncio.to_thread(server.wait_until_serving)
        async with runstore.connect(server.target, project="p", timeout=PATIENT) as client:
            run = await client.save_run(run_id="run")
            await run.append("early")
            assert (await client.feed.read()).entries == ()

            relay.start(with_ports=False)
            async with aclosing(client.feed.entries()) as entries, asyncio.timeout(60):
                early = await anext(entries)
                await run.append("late")
                late = await anext(entries)
        stopped = relay.stop()
    finally:
        if relay.process:
            relay.stop()
        server.stop()

    assert [early.event.type, late.event.type] == ["early", "late"]
    assert stopped == 0
    assert (await ask(environment, "SELECT holder FROM duties WHERE name = 'relay'")) == [("",)]


async def test_statistics_are_rebuilt_by_command(
    server: ServerProcess, environment: dict[str, str]
) -> None:
    counts = "SELECT type, model, sum(events)::int FROM usage_counts GROUP BY 1, 2 ORDER BY 1"
    sums = (
        "SELECT project, bytes FROM stored_bytes, duties"
        " WHERE name = 'stored bytes' AND position = 8"
    )
    async with runstore.connect(server.target, project="p", timeout=PATIENT) as client:
        run = await client.save_run(run_id="run")
        await run.append_many([runstore.NewEvent("a", model="m")] * 7)
        await run.complete()
        await eventually(environment, counts, 2)
    before = await ask(environment, counts)
    await ask(environment, "UPDATE usage_counts SET events = events + 1")
    await eventually(environment, sums, 1)
    stored = await ask(environment, sums)
    await ask(environment, "UPDATE stored_bytes SET bytes = bytes + 1")

    said = await asyncio.to_thread(cli, "statistics", "rebuild", environment=environment)

    assert before == [("a", "m", 7), ("run.completed", "", 1)]
    assert await ask(environment, counts) == before
    assert "counted 8 entries" in said
    assert "added up what is stored, with 8 entries" in said
    assert await ask(environment, sums) == stored


async def test_events_committed_last_are_published_before_a_server_stops(
    server: ServerProcess, environment: dict[str, str]
) -> None:
    async with runstore.connect(server.target, project="p", timeout=PATIENT) as client:
        run = await client.save_run(run_id="run")
        await leader(environment, [server])
        await run.append_many([runstore.NewEvent("a")] * 500)

    assert server.stop() == 0

    assert await ask(environment, "SELECT count(*) FROM outbox") == [(0,)]
    assert await ask(environment, "SELECT position FROM duties WHERE name = 'relay'") == [(500,)]
