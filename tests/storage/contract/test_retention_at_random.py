"""Whatever is written, forked, held, read and let go at once: what must never go stays."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from dataclasses import replace as changed
from datetime import timedelta

import pytest
from runstore_storage.contract.admin import Act
from runstore_storage.contract.artifacts import ArtifactFilter
from runstore_storage.contract.errors import RunNotFound, StorageError
from runstore_storage.contract.feed import RETENTION
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.holds import NewHold, RunSelection
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.retention import Keep, Policy
from runstore_storage.contract.runs import ExternalRef, NewFork, NewRun
from runstore_storage.contract.search import SearchQuery
from runstore_storage.contract.snapshots import SnapshotQuery
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore
from runstore_storage.removals import parts
from storage.contract.test_removals import ME, act, kept, relayed, removed, rows_of
from storage.contract.test_removals_at_random import PARENTS, STAYS, World
from storage.contract.test_stored_bytes import recounted, sums

__all__ = ["kept"]

WORKERS, STEPS = 3, 100
NOW, LONG = timedelta(microseconds=1), timedelta(days=1000)
IDLE = timedelta(days=30)
EVIDENCE = RunSelection(labels={"evidence": "1"})
LAST_POSITION = system("""
    SELECT coalesce(max(f.last_position), 0) FROM feed f JOIN runs r USING (run)
    WHERE r.project = :project AND r.run_id = :run_id
""")
What = tuple[frozenset[str], frozenset[str], int]


@dataclass
class Retained(World):
    """What was done; what runs had when they were held, and what forks had in their history."""

    evidence: set[RunKey] = field(default_factory=set)
    externals: set[RunKey] = field(default_factory=set)
    had: dict[RunKey, What] = field(default_factory=dict)
    histories: dict[RunKey, frozenset[str]] = field(default_factory=dict)
    completed: set[RunKey] = field(default_factory=set)
    put: set[str] = field(default_factory=set)

    async def save(self) -> None:
        number = len(self.runs)
        key = RunKey("p", f"run-{number}")
        is_external, is_evidence = (self.chance.random() < 0.2 for _ in range(2))
        ref = ExternalRef("airflow", str(number), owns_status=True)
        labels = {"evidence": "1"} if is_evidence else {"team": self.chance.choice("ab")}
        self.runs.append(key)
        if is_evidence:
            self.evidence.add(key)
        if is_external:
            self.externals.add(key)
        await self.store.save_run(
            NewRun("p", key.run_id, labels=labels, external_ref=ref if is_external else None)
        )

    async def complete(self) -> None:
        key = self.some()
        self.completed.add(key)
        await self.store.complete_run(key, Completion(Outcome.SUCCEEDED))

    async def fork(self) -> None:
        key = RunKey("p", f"fork-{len(self.runs)}")
        fork = NewFork(self.some(), fork_run_id=key.run_id, labels={"evidence": "1"})
        self.evidence.add(key)
        await self.store.fork_run(fork)
        self.histories[key] = (await self.what(key))[0]
        self.runs.append(key)

    async def hold(self) -> None:
        key = self.some()
        placing = changed(act(key), method="PlaceHold")
        hold, _ = await self.store.holds.place_hold(NewHold("p", "why", key.run_id), placing)
        if key not in self.held:
            self.had[key] = await self.what(key)
        self.held.setdefault(key, []).append(hold.hold_id)

    async def release(self) -> None:
        if self.held:
            key = self.chance.choice(list(self.held))
            ids, had = self.held.pop(key), self.had.pop(key)
            self.check_kept(had, await self.what(key))
            for hold_id in ids:
                await self.store.holds.release_hold(hold_id, changed(act(key), method="R"))

    async def put_policy(self) -> None:
        name = f"policy-{self.chance.randrange(4)}"
        chosen = [self.chance.choice([NOW, NOW, LONG, None]) for _ in range(4)]
        keep = Keep(None, chosen[0], self.chance.randrange(3), *chosen[1:])
        where = self.chance.choice([RunSelection(), RunSelection(labels={"team": "a"})])
        policy = Policy(name, keep, where, includes_external=self.chance.random() < 0.5)
        self.put.add(name)
        if any(chosen):
            await self.store.retention.put_policy(policy, policing(name))

    async def read(self) -> None:
        last = (await self.store.feed.read_feed("p", 1, limit=1)).last_position
        await self.store.feed.commit_position("p", "reader", self.chance.randrange(last + 1))

    async def step(self) -> None:
        actions = [self.save, self.append, self.append, self.snapshot, self.snapshot, self.upload]
        actions += [self.complete, self.complete, self.fork, self.hold, self.release, self.read]
        actions += [self.put_policy]
        try:
            await (self.chance.choice(actions) if self.runs else self.save)()
        except StorageError:
            return  # refused, or the run is gone

    async def what(self, key: RunKey) -> What:
        """The snapshots and artifacts of a run, and how many of its events are found."""
        of_run = SnapshotQuery(key.project, key.run_id)
        snapshots = await self.store.list_snapshots(of_run, limit=1000, after=None)
        named = ArtifactFilter(run_id=key.run_id)
        artifacts = await self.store.artifacts.list_artifacts("p", named, limit=1000, after=None)
        return (
            frozenset(each.snapshot.snapshot_id for each in snapshots.items),
            frozenset(each.artifact_id for each in artifacts.items),
            (await rows_of(self.store, key)).get("search_rows", 0),
        )

    @staticmethod
    def check_kept(before: What, now: What) -> None:
        assert before[0] <= now[0], "snapshots"
        assert before[1] <= now[1], "artifacts"
        assert before[2] <= now[2], "search text"


def policing(name: str) -> Act:
    return changed(
        act(RunKey("p", name)), method="PutPolicy", resource=f"policies/{name}", request_id=""
    )


@pytest.mark.parametrize("seed", range(4))
async def test_what_must_never_go_by_a_policy_stays_and_the_rest_goes(
    kept: PostgresStore, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for most in ("MOST_ROWS", "MOST_ARTIFACTS", "MOST_SNAPSHOTS"):
        monkeypatch.setattr(parts, most, 2)
    world, is_over = Retained(kept, random.Random(seed)), asyncio.Event()
    forever = Policy(
        "forever", Keep(None, LONG, 0, LONG, LONG, LONG), EVIDENCE, includes_external=True
    )
    await kept.retention.put_policy(forever, policing("forever"))
    await kept.feed.commit_position("p", "reader", 0)
    assert await kept.feed.hold_duty(RETENTION, ME) is not None
    passes = 0

    async def work() -> None:
        for _ in range(STEPS):
            await world.step()

    async def duties() -> None:
        nonlocal passes
        while not is_over.is_set():
            await relayed(kept)
            passes += await kept.retention.retain(ME, idle=IDLE) == 0
            await kept.removals.remove(ME)
            await asyncio.sleep(0)

    doing = asyncio.create_task(duties())
    await asyncio.gather(*(work() for _ in range(WORKERS)))
    is_over.set()
    await doing
    await removed(kept)

    position = (await kept.feed.get_consumer("p", "reader")).position
    gone = {key for key in world.runs if await is_gone(kept, key)}
    records = (await kept.admin.list_records("p", limit=1000, after=None)).items
    decisions = [each for each in records if each.act.method == "Retention"]
    assert passes > 3
    assert decisions
    assert not gone & world.evidence
    assert not gone & world.held.keys()
    assert gone <= world.completed | world.externals
    for key in gone:
        assert await last_position(kept, key) <= position
        assert set(await rows_of(kept, key)) <= STAYS
    for key, had in world.had.items():
        world.check_kept(had, await world.what(key))
    for key, had in world.histories.items():
        assert had <= (await world.what(key))[0]
    for key in set(world.runs) - gone:
        assert not (await kept.verify_run(key, from_seq=1, max_events=0)).problem
    parted = {each.act.resource for each in decisions}
    assert not parted & {f"runs/{key.run_id}" for key in world.evidence}
    assert not parted & {
        f"runs/{key.run_id}" for key in set(world.runs) - world.completed - world.externals
    }
    assert not (await kept.admin.verify_records("p", from_number=1)).problem

    await let_all_go(world)

    async with kept._engine.connect() as conn:
        bases = {RunKey("p", str(base)) for _, base in await conn.execute(PARENTS)}
    ended = (world.completed | world.externals) - world.evidence - bases
    assert {key for key in world.runs if await is_gone(kept, key)} == ended
    async with kept._engine.connect() as conn:
        assert await sums(conn) == await recounted(kept)
    hits = await kept.search.search_events("p", SearchQuery("x"), limit=1000)
    assert not {hit.run_id for hit in hits.hits} & {key.run_id for key in ended}


async def let_all_go(world: Retained) -> None:
    """Have nothing keep what has ended but `forever`, and forks."""
    store = world.store
    while world.held:
        await world.release()
    for page in [await store.retention.list_policies("p", limit=100, after=None)]:
        for each in page.items:
            if each.policy.name != "forever":
                ending = changed(policing(each.policy.name), method="DeletePolicy")
                await store.retention.delete_policy(each.policy.name, ending)
    everything = Policy("all", Keep(run=NOW), includes_external=True)
    await store.retention.put_policy(everything, policing("all"))
    await relayed(store)
    last = (await store.feed.read_feed("p", 1, limit=1)).last_position
    await store.feed.commit_position("p", "reader", last)
    for _ in range(2):  # a pass may have been under way
        while await store.retention.retain(ME, idle=IDLE):
            pass
    await removed(store)
    await relayed(store)


async def is_gone(store: PostgresStore, key: RunKey) -> bool:
    try:
        await store.get_run(key)
    except RunNotFound:
        return True
    return False


async def last_position(store: PostgresStore, key: RunKey) -> int:
    async with store._engine.connect() as conn:
        found = await conn.execute(LAST_POSITION, key._asdict())
        return int(found.scalar_one())
