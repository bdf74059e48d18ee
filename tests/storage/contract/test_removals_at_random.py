"""Whatever is written, forked, held and deleted at once: what must stay does, the rest is gone."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from dataclasses import replace as changed

import pytest
from runstore_storage.contract.artifacts import ArtifactFilter, ArtifactRef
from runstore_storage.contract.errors import StorageError, StorageUnavailable
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.holds import NewHold
from runstore_storage.contract.runs import ExternalRef, NewFork, NewRun
from runstore_storage.contract.snapshots import Snapshot
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore
from runstore_storage.removals import parts, removing
from storage.contract.test_removals import (
    ME,
    act,
    completed,
    deleted,
    kept,
    relayed,
    removed,
    rows_of,
    text,
    upload,
)
from storage.contract.test_stored_bytes import recounted, sums

__all__ = ["kept"]

WORKERS, STEPS = 3, 100
CONTENTS = (b"one", b"two", b"three")
PARENTS = system("SELECT r.run_id, b.run_id FROM runs r JOIN runs b ON b.run = r.fork_parent")
STAYS = {"runs", "removals", "holds", "feed"}


@dataclass
class World:
    """What was done, as the answers said."""

    store: PostgresStore
    chance: random.Random
    runs: list[RunKey] = field(default_factory=list)
    gone: set[RunKey] = field(default_factory=set)
    held: dict[RunKey, list[str]] = field(default_factory=dict)

    def some(self) -> RunKey:
        return self.chance.choice(self.runs)

    async def save(self) -> None:
        is_external = self.chance.random() < 0.2
        ref = ExternalRef("airflow", str(len(self.runs)), owns_status=True)
        parent = self.some().run_id if self.runs and self.chance.random() < 0.3 else ""
        new = NewRun(
            "p",
            f"run-{len(self.runs)}",
            plan=text(40),
            parent_run_id=parent,
            external_ref=ref if is_external else None,
        )
        self.runs.append(RunKey("p", new.run_id))
        try:
            await self.store.save_run(new)
        except StorageError:  # its parent was deleted
            self.runs.remove(RunKey("p", new.run_id))

    async def append(self) -> None:
        size = self.chance.choice([10, 700])
        events = [Event("a", payload=text(size)) for _ in range(self.chance.randrange(1, 4))]
        await self.store.append_events(self.some(), events)

    async def snapshot(self) -> None:
        await self.store.put_snapshot(self.some(), Snapshot(state={"a": text(900)}))

    async def upload(self) -> None:
        data = self.chance.choice(CONTENTS)
        await upload(self.store, self.some(), "a", data)

    async def complete(self) -> None:
        await completed(self.store, self.some())

    async def fork(self) -> None:
        fork = NewFork(self.some(), fork_run_id=f"fork-{len(self.runs)}")
        self.runs.append((await self.store.fork_run(fork)).run.key)

    async def hold(self) -> None:
        key = self.some()
        placing = changed(act(key), method="PlaceHold")
        hold, _ = await self.store.holds.place_hold(NewHold("p", "why", key.run_id), placing)
        assert key not in self.gone
        self.held.setdefault(key, []).append(hold.hold_id)

    async def release(self) -> None:
        if self.held:
            key = self.chance.choice(list(self.held))
            for hold_id in self.held.pop(key):
                await self.store.holds.release_hold(hold_id, changed(act(key), method="R"))

    async def delete(self) -> None:
        key = self.some()
        is_held = key in self.held
        await deleted(self.store, key)
        assert not (is_held and key in self.held), "it was held before and after"
        self.gone.add(key)

    async def step(self) -> None:
        actions = [self.save, self.append, self.append, self.snapshot, self.upload, self.complete]
        actions += [self.complete, self.fork, self.hold, self.release, self.delete, self.delete]
        try:
            await (self.chance.choice(actions) if self.runs else self.save)()
        except StorageUnavailable:
            raise
        except StorageError:
            return  # refused, as it should be now and then


@pytest.mark.parametrize("seed", range(4))
async def test_what_must_stay_is_there_and_what_went_is_gone(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(removing, "MOST_ROWS", 3)
    monkeypatch.setattr(parts, "MOST_ARTIFACTS", 1)
    world, is_over = World(kept, random.Random(seed)), asyncio.Event()

    async def work() -> None:
        for _ in range(STEPS):
            await world.step()

    async def duties() -> None:
        while not is_over.is_set():
            await relayed(kept)
            await kept.removals.remove(ME)
            await asyncio.sleep(0)

    doing = asyncio.create_task(duties())
    await asyncio.gather(*(work() for _ in range(WORKERS)))
    is_over.set()
    await doing
    await relayed(kept)
    await removed(kept)
    await relayed(kept)

    assert len(world.gone) > 1
    for key in set(world.runs) - world.gone:
        assert not (await kept.verify_run(key, from_seq=1, max_events=0)).problem
        await kept.read_events(key, 1, limit=1000)
    for key in world.gone:
        assert set(await rows_of(kept, key)) <= STAYS
    assert not world.held.keys() & world.gone
    async with kept._engine.connect() as conn:
        bases = {RunKey("p", str(base)) for _, base in await conn.execute(PARENTS)}
        assert not bases & world.gone
        assert await sums(conn) == await recounted(kept)
    for key in set(world.runs) - world.gone:
        for artifact in await artifacts_of(kept, key):
            opened = await kept.artifacts.open_artifact(artifact, offset=0, length=0)
            assert b"".join([piece async for piece in opened.chunks]) in CONTENTS


async def artifacts_of(store: PostgresStore, key: RunKey) -> list[ArtifactRef]:
    of_run = ArtifactFilter(run_id=key.run_id)
    page = await store.artifacts.list_artifacts(key.project, of_run, limit=100, after=None)
    return [ArtifactRef(key.project, each.artifact_id) for each in page.items]
