"""A stream of many events over servers that are killed and stopped."""

from __future__ import annotations

import asyncio

import pytest
import runstore
from e2e.servers import ServerProcess

EVENTS = 10_000
BATCH = 200
PATIENT = 300.0


def restart(server: ServerProcess, number: int) -> None:
    if number % 2:
        server.stop()
    else:
        server.kill()
    server.start()
    server.wait_until_serving()


async def write(server: ServerProcess, run: runstore.AsyncRun) -> None:
    """Append all events, with three restarts between them, and complete the run."""
    for number in range(EVENTS // BATCH):
        await run.append_many([runstore.NewEvent("tick")] * BATCH)
        if number in {10, 25, 40}:
            await asyncio.to_thread(restart, server, number)
    await run.complete()


@pytest.fixture(params=["async", "sync"])
def watch(request, server: ServerProcess, project: str):
    """Begins to follow a run with one of the clients; gives what waits for the seqs it saw."""

    async def follow(run_id: str) -> list[int]:
        async with runstore.connect(server.target, project=project) as client:
            stream = client.run(run_id).events(
                follow=True, heartbeat_seconds=1, patience_seconds=PATIENT
            )
            return [event.seq async for event in stream]

    def follow_sync(run_id: str) -> list[int]:
        with runstore.Client(server.target, project=project) as client:
            stream = client.run(run_id).events(
                follow=True, heartbeat_seconds=1, patience_seconds=PATIENT
            )
            return [event.seq for event in stream]

    def begin(run_id: str) -> asyncio.Task[list[int]]:
        if request.param == "async":
            return asyncio.create_task(follow(run_id))
        return asyncio.create_task(asyncio.to_thread(follow_sync, run_id))

    return begin


@pytest.mark.slow
async def test_a_stream_of_10_000_events_goes_on_over_three_restarts(
    server: ServerProcess, project: str, watch
) -> None:
    async with runstore.connect(server.target, project=project, timeout=PATIENT) as client:
        run = await client.save_run()
        watching = watch(run.run_id)

        await write(server, run)
        seen = await asyncio.wait_for(watching, PATIENT)
        found = await run.verify()

    assert seen == list(range(1, EVENTS + 2))
    assert found.verified
