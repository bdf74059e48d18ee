"""Writers and a watcher that go on through crashes, and the judgement of what is left."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import runstore

WRITERS = 8


@dataclass
class Load:
    """Writers that append until told to stop; every acknowledged event is remembered."""

    client: runstore.AsyncClient
    runs: list[str]
    acked: dict[str, dict[str, int]] = field(default_factory=dict)
    stopping: bool = False
    acknowledged: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def save(self) -> None:
        for run_id in self.runs:
            await self.client.save_run(run_id=run_id)
            self.acked[run_id] = {}

    async def write(self, number: int) -> None:
        run_id = self.runs[number % len(self.runs)]
        run, count = self.client.run(run_id), 0
        while not self.stopping:
            event = runstore.NewEvent("tick", {"n": count}, event_id=f"{number}-{count}")
            appended = await run.append(event)
            self.acked[run_id][event.event_id] = appended.seq
            self.acknowledged.release()
            count += 1

    async def watch(self, run_id: str) -> list[runstore.Event]:
        stream = self.client.run(run_id).events(
            follow=True, heartbeat_seconds=0.5, patience_seconds=300
        )
        return [event async for event in stream]

    async def some_progress(self, count: int = 30) -> None:
        """Wait until so many more events were acknowledged."""
        for _ in range(count):
            await self.acknowledged.acquire()

    async def judge(self, run_id: str, seen: list[runstore.Event]) -> None:
        """Every acknowledged event is there once, in its place; the stream showed each once."""
        run = self.client.run(run_id)
        events = [event async for event in run.events()]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        ids = {event.event_id: event.seq for event in events}
        assert len(ids) == len(events)
        for event_id, seq in self.acked[run_id].items():
            assert ids[event_id] == seq
        assert seen == events
        assert (await run.verify()).verified


async def under_load(client: runstore.AsyncClient, disturb, runs: int = 4) -> Load:
    """Run writers and watchers while `disturb(load)` does its worst; then judge."""
    load = Load(client, [f"run{number}" for number in range(runs)])
    await load.save()
    watchers = {run_id: asyncio.create_task(load.watch(run_id)) for run_id in load.runs}
    writers = [asyncio.create_task(load.write(number)) for number in range(WRITERS)]
    await load.some_progress()
    await disturb(load)
    load.stopping = True
    await asyncio.gather(*writers)
    for run_id in load.runs:
        await client.run(run_id).complete(runstore.Outcome.CANCELLED)
    for run_id in load.runs:
        await load.judge(run_id, await watchers[run_id])
    return load
