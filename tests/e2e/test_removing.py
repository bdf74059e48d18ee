"""What was decided to go is gone in the end, and nothing else, whatever is killed or frozen on the
way.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import obstore
import pytest
import runstore
from conftest import server_environment
from database import ask
from e2e.servers import ServerProcess
from object_stores import S3Server, fresh_url, s3_server
from obstore.store import from_url
from runstore.verify_archive import verify
from storage.contract.test_removals import TABLES_OF_RUNS
from storage.contract.test_stored_bytes import RECOUNT

GOING, STAYING, EVENTS, LARGE = 12, 2, 6000, 20
KILLS = 12
PATIENT = 300.0
SUMMED = "SELECT project, bytes FROM stored_bytes WHERE bytes <> 0"
# Of a deleted run only these have rows.
STAYS = {"runs", "removals", "feed"}


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def environment(database_url: str, own_schema: str, s3: S3Server) -> dict[str, str]:
    return (
        server_environment(database_url, own_schema)
        | s3.environment
        | {
            "RUNSTORE_OBJECTS_URL": fresh_url(),
            "RUNSTORE_LARGE_PAYLOADS": "objects",
            "RUNSTORE_PAYLOAD_INLINE_BYTES": "2000",
            "RUNSTORE_LOG_FORMAT": "json",
            "RUNSTORE_RETENTION_INTERVAL": "1",
        }
    )


@pytest.fixture
def servers(tmp_path: Path, environment: dict[str, str]) -> Iterator[list[ServerProcess]]:
    made = [ServerProcess(tmp_path / f"{number}.log", environment) for number in range(2)]
    for server in made:
        server.start()
    for server in made:
        server.wait_until_serving()
    yield made
    for server in made:
        server.stop()


class Database:
    """What the tables say."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    async def left(self) -> int:
        """How many removals are not decided, or not done."""
        ((count,),) = await ask(
            self._environment, "SELECT count(*) FROM removal_steps WHERE is_last"
        )
        return GOING - int(str(count))

    async def holder(self) -> str:
        ((holder,),) = await ask(
            self._environment, "SELECT holder FROM duties WHERE name = 'removals'"
        )
        return str(holder)

    async def tables_of(self, run_id: str) -> set[str]:
        """The tables that have rows of a run."""
        tables = await ask(self._environment, TABLES_OF_RUNS.sql)
        return {
            str(table)
            for (table,) in tables
            if await ask(
                self._environment,
                f"SELECT 1 FROM {table}"
                " WHERE run = (SELECT run FROM runs WHERE run_id = $1) LIMIT 1",
                run_id,
            )
        }


async def fill(client: runstore.AsyncClient, run_id: str) -> None:
    labels = {"going": str("going" in run_id)}
    run = await client.save_run(
        "look it up", run_id=run_id, plan={"steps": [run_id]}, labels=labels
    )
    for _ in range(EVENTS // 1000):
        await run.append_many([runstore.NewEvent("tick", {"n": n}) for n in range(1000)])
    for number in range(LARGE):
        await run.append("large", {"text": f"{run_id} {number} {os.urandom(2000).hex()}"})
        await run.snapshot(state={"at": number, "text": "x" * 3000})
    await client.artifacts.upload(run_id, "own", run_id.encode())
    await client.artifacts.upload(run_id, "shared", b"the same in each")
    await run.complete(runstore.Outcome.SUCCEEDED, {"answer": 42})


async def deleted(client: runstore.AsyncClient, going: Sequence[str]) -> None:
    for run_id in going:
        await client.admin.delete_run(run_id, "case 7")


async def let_go(client: runstore.AsyncClient, going: Sequence[str]) -> None:
    """Have a policy let the runs go, and wait until that was decided of one."""
    where = runstore.RunSelection(labels={"going": "True"})
    second = timedelta(seconds=1)
    await client.admin.put_policy(runstore.Policy("going", second, filter=where), "case 7")
    async with asyncio.timeout(PATIENT):
        while not [each async for each in client.admin.removals()]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(going) == GOING


async def other_than(database: Database, holder: str) -> None:
    """Return when another process has the duty, or nothing is left to do."""
    async with asyncio.timeout(60):
        while await database.holder() == holder and await database.left():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def signalled(server: ServerProcess, number: signal.Signals) -> None:
    assert server.process
    server.process.send_signal(number)


@pytest.mark.timeout(1800)
@pytest.mark.slow
@pytest.mark.parametrize("go", [deleted, let_go])
async def test_all_of_it_goes_and_nothing_else_though_holders_are_killed_and_frozen(
    servers: list[ServerProcess],
    environment: dict[str, str],
    s3: S3Server,
    tmp_path: Path,
    go: Callable[[runstore.AsyncClient, Sequence[str]], Awaitable[None]],
) -> None:
    both = "ipv4:" + ",".join(f"127.0.0.1:{server.port}" for server in servers)
    database = Database(environment)
    going = [f"going-{number}" for number in range(GOING)]
    staying = [f"staying-{number}" for number in range(STAYING)]

    async with runstore.connect(both, project="p", timeout=PATIENT) as client:
        await asyncio.gather(*(fill(client, run_id) for run_id in (*going, *staying)))
        before = {}
        for run_id in staying:
            await client.run(run_id).export(tmp_path / run_id)
            before[run_id] = (tmp_path / run_id).read_bytes()
        await go(client, going)

        disturbed = 0
        for turn in range(KILLS):
            if not await database.left():
                break
            disturbed += 1
            holder = await database.holder()
            victim = next(
                (each for each in servers if each.process and f"/{each.process.pid}/" in holder),
                servers[0],
            )
            if turn % 3 == 2:
                # One that is frozen goes on with its step when another has the duty.
                signalled(victim, signal.SIGSTOP)
                await other_than(database, holder)
                signalled(victim, signal.SIGCONT)
            elif turn % 3 == 1:
                s3.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(random.random())
                s3.process.send_signal(signal.SIGCONT)
            else:
                victim.kill()
                victim.start()
            await asyncio.sleep(random.random() / 4)
        async with asyncio.timeout(PATIENT):
            while await database.left():  # noqa: ASYNC110 - another process's work
                await asyncio.sleep(0.1)

        assert disturbed > 3, "too little was disturbed"
        for run_id in going:
            assert await database.tables_of(run_id) == STAYS
        for run_id in staying:
            await client.run(run_id).export(tmp_path / run_id)
            assert (tmp_path / run_id).read_bytes() == before[run_id]
            assert not verify(tmp_path / run_id).problems
        removals = [each async for each in client.admin.removals()]
    counted = {each.removed_events for each in removals}
    assert counted == {EVENTS + LARGE + 1}
    listed = obstore.list(from_url(environment["RUNSTORE_OBJECTS_URL"])).collect()
    # The payloads of those that stay, an artifact of each, and the one that all have.
    assert len(listed) == STAYING * LARGE + STAYING + 1
    async with asyncio.timeout(60):
        while await ask(environment, SUMMED) != await ask(environment, RECOUNT.sql):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
