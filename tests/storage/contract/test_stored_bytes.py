"""What projects store, summed by the duty: equal to a plain sum over the tables, at any time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from hashlib import sha256

import asyncpg
import pytest
from conftest import make_store
from runstore_migrations import schema
from runstore_storage.contract.artifacts import Announced, NewArtifact
from runstore_storage.contract.configs import ConfigKey, NewVersion
from runstore_storage.contract.errors import RunCompleted, SnapshotInUse
from runstore_storage.contract.events import Event
from runstore_storage.contract.feed import RELAY, STORED_BYTES
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewFork, NewRun
from runstore_storage.contract.snapshots import Snapshot, TaskWrite
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import system
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore
from runstore_storage.sql import stored_bytes

ME, OTHER = "me", "other"
LARGE = 200
STEPS = 80
SUMS = system("SELECT project, bytes FROM stored_bytes WHERE bytes <> 0")
SIZE = "coalesce(octet_length({0}_json::text), octet_length({0}_binary), 0)"
# Payloads that are blobs are empty in their rows.
RECOUNT = system(f"""
    SELECT project, sum(size)::bigint FROM (
        SELECT project, {SIZE.format("plan")} AS size FROM runs
        UNION ALL SELECT project, {SIZE.format("payload")} FROM events JOIN runs USING (run)
        UNION ALL SELECT project, raw_bytes FROM blobs JOIN runs USING (run)
        UNION ALL SELECT project, length(manifest) FROM snapshots JOIN runs USING (run)
        UNION ALL SELECT project, {SIZE.format("metadata")} FROM snapshots JOIN runs USING (run)
        UNION ALL SELECT project, {SIZE.format("payload")} FROM task_writes JOIN runs USING (run)
        UNION ALL SELECT project, {SIZE.format("payload")} FROM outputs JOIN runs USING (run)
        UNION ALL SELECT project, {SIZE.format("provenance")} FROM outputs JOIN runs USING (run)
        UNION ALL SELECT project, {SIZE.format("statistics")} FROM outputs JOIN runs USING (run)
        UNION ALL SELECT project, size FROM objects
        UNION ALL SELECT project, raw_bytes FROM config_versions JOIN configs USING (config)
        UNION ALL
        SELECT project, {SIZE.format("metadata")} FROM config_versions JOIN configs USING (config)
    ) AS stored GROUP BY project HAVING sum(size) <> 0
""")


@pytest.fixture
async def relayed(own: PostgresStore) -> PostgresStore:
    for duty in (RELAY, STORED_BYTES):
        await own.feed.hold_duty(duty, ME)
    return own


async def summed(store: PostgresStore, holder: str = ME) -> dict[str, int]:
    """The sums once the duty has added everything."""
    while await store.feed.publish(ME):
        pass
    while await store.feed.sum_stored(holder):
        pass
    async with store._engine.connect() as conn:
        return await sums(conn)


async def sums(conn: Connection) -> dict[str, int]:
    return dict(map(tuple, await conn.execute(SUMS)))  # type: ignore[arg-type]  # of two columns


async def recounted(store: PostgresStore) -> dict[str, int]:
    async with store._engine.connect() as conn:
        return dict(map(tuple, await conn.execute(RECOUNT)))  # type: ignore[arg-type]  # likewise


async def saved(store: PostgresStore, run_id: str = "run", project: str = "p") -> RunKey:
    return (await store.save_run(NewRun(project, run_id))).run.key


async def content(data: bytes) -> AsyncIterator[bytes]:
    yield data


def text(size: int) -> Payload:
    """A JSON text of so many bytes."""
    return Payload('"' + "x" * (size - 2) + '"')


async def upload(store: PostgresStore, key: RunKey, name: str, data: bytes) -> None:
    announced = Announced(sha256(data).digest(), len(data))
    await store.artifacts.upload_artifact(NewArtifact(key, name), announced, content(data))


async def test_each_kind_counts_as_it_was_sent(relayed: PostgresStore) -> None:
    key = await saved(relayed)

    async def adds() -> int:
        """How much is added by what was done since."""
        now = (await summed(relayed)).get("p", 0)
        nonlocal before
        added, before = now - before, now
        return added

    before = 0
    assert await adds() == 0
    await relayed.save_run(NewRun("p", "planned", plan=text(11)))
    assert await adds() == 11
    await relayed.append_events(key, [Event("a", "e1", payload=text(5)), Event("b", "e2")])
    assert await adds() == 5
    await relayed.append_events(key, [Event("c", payload=Payload(b"\x00" * 9, "x"))])
    assert await adds() == 9
    await relayed.put_task_writes(key, "", [TaskWrite("t", 0, payload=text(7))])
    assert await adds() == 7
    await upload(relayed, key, "a", b"x" * 13)
    assert await adds() == 13
    version = NewVersion(ConfigKey("p", "prompt", "c"), text(17), metadata=Payload("{}"))
    await relayed.configs.register_version(version)
    assert await adds() == 19
    output = Output(text(23), provenance=text(29), statistics=Payload("{}"))
    await relayed.complete_run(key, Completion(Outcome.SUCCEEDED, output=output))
    facts = await relayed.read_events(key, from_seq=4, limit=10)
    assert await adds() == 23 + 29 + 2 + sum(len(each.event.payload.data) for each in facts.events)
    assert await summed(relayed) == await recounted(relayed)


async def test_what_is_stored_once_is_counted_once(relayed: PostgresStore) -> None:
    key, other = await saved(relayed), await saved(relayed, "other")
    event, write = Event("a", "e", payload=text(5)), TaskWrite("t", 0, "s1", payload=text(7))
    snapshot = Snapshot(snapshot_id="s1", state={"a": text(3000)})

    async def all_of_it() -> None:
        await relayed.save_run(NewRun("p", "planned", plan=text(11)))
        await relayed.append_events(key, [event])
        await relayed.put_snapshot(key, snapshot, request_id="put")
        await relayed.put_task_writes(key, "", [write])
        for each in (key, other):
            await upload(relayed, each, "a", b"x" * 13)
        version = NewVersion(ConfigKey("p", "prompt", "c"), text(17))
        await relayed.configs.register_version(version)
        output = Output(text(23))
        await relayed.complete_run(other, Completion(Outcome.SUCCEEDED, output=output))

    await all_of_it()
    first = await summed(relayed)
    await all_of_it()
    repeated = await summed(relayed)
    await relayed.put_snapshot(key, Snapshot(snapshot_id="s2", state={"a": text(3000)}))
    again = await summed(relayed)

    assert first == repeated == {"p": first["p"]}
    assert first["p"] > 3000 + 5 + 7 + 11 + 13 + 17 + 23
    assert 0 < again["p"] - first["p"] < 300


async def test_a_large_payload_counts_once_a_run(database_url: str, own_schema: str) -> None:
    for rules in (LargePayloads(LARGE), LargePayloads(LARGE, to_objects=True)):
        store = make_store(database_url, own_schema, large_payloads=rules)
        try:
            for duty in (RELAY, STORED_BYTES):
                await store.feed.hold_duty(duty, ME)
            project = f"p{rules.to_objects}"
            keys = [await saved(store, run, project) for run in "ab"]
            for key in keys:
                await store.append_events(key, [Event("a", payload=text(3 * LARGE))] * 2)

            assert (await summed(store))[project] == 2 * 3 * LARGE
        finally:
            await store.close()


async def test_deleted_snapshots_give_their_bytes_back(relayed: PostgresStore) -> None:
    key = await saved(relayed)
    states = {"s1": {"a": text(3000), "b": text(500)}, "s2": {"a": text(3000)}}
    for id_, state in states.items():
        await relayed.put_snapshot(key, Snapshot(snapshot_id=id_, state=state))
    await relayed.put_task_writes(key, "", [TaskWrite("t", 0, "s1", payload=text(70))])
    before = await summed(relayed)

    await relayed.delete_snapshots(key, "", ["s1"], writer_epoch=None)
    one = await summed(relayed)
    await relayed.delete_snapshots(key, "", ["s2"], writer_epoch=None)

    assert 570 < before["p"] - one["p"] < 3000
    assert await summed(relayed) == {} == await recounted(relayed)


async def test_a_replaced_task_write_counts_as_it_is_now(relayed: PostgresStore) -> None:
    key = await saved(relayed)

    for size in (70, 7, 700):
        write = TaskWrite("t", -1, payload=text(size))
        await relayed.put_task_writes(key, "", [write])
        assert await summed(relayed) == {"p": size}


@pytest.mark.owner
async def test_deleted_events_and_objects_give_their_bytes_back(relayed: PostgresStore) -> None:
    """The triggers that refuse it are off here."""
    key = await saved(relayed)
    await relayed.append_events(key, [Event("a", payload=text(5)), Event("b", payload=text(9))])
    await relayed.append_events(key, [Event("c", payload=text((1 << 20) + 1))])
    await upload(relayed, key, "a", b"x" * 13)
    assert await summed(relayed) == {"p": 5 + 9 + (1 << 20) + 1 + 13}

    async with relayed._engine.begin() as conn:
        for statement in (
            "ALTER TABLE events DISABLE TRIGGER tr_events_append_only",
            "ALTER TABLE artifacts DISABLE TRIGGER tr_artifacts_removed",
            "DELETE FROM events WHERE seq > 1",
            "DELETE FROM artifacts",
            "DELETE FROM objects",
            "ALTER TABLE events ENABLE TRIGGER tr_events_append_only",
            "ALTER TABLE artifacts ENABLE TRIGGER tr_artifacts_removed",
        ):
            await conn.execute(system(statement))

    # The blob of the large payload is still there.
    assert await summed(relayed) == {"p": 5 + (1 << 20) + 1} == await recounted(relayed)


class Random:
    """Writes of all kinds, to runs of two projects."""

    def __init__(self, store: PostgresStore, chance: random.Random, name: str) -> None:
        self.store, self.chance, self.name = store, chance, name
        self.runs: list[RunKey] = []
        self.snapshots: list[tuple[RunKey, str]] = []

    def payload(self) -> Payload:
        return text(self.chance.choice([2, 9, 40, 700]))

    async def write(self) -> None:
        writes = [self.save, self.append, self.append, self.put, self.put, self.fork]
        writes += [self.put_task_writes, self.delete, self.complete, self.register, self.upload]
        await (self.chance.choice(writes) if self.runs else self.save)()

    def run(self) -> RunKey:
        return self.chance.choice(self.runs)

    async def save(self) -> None:
        plan = self.payload() if self.chance.random() < 0.5 else None
        new = NewRun(self.chance.choice("pq"), f"{self.name}{len(self.runs)}", plan=plan)
        self.runs.append((await self.store.save_run(new)).run.key)

    async def append(self) -> None:
        events = [Event("a", payload=self.payload()) for _ in range(self.chance.randrange(1, 4))]
        await taken(self.store.append_events(self.run(), events))

    async def put(self) -> None:
        key, id_ = self.run(), f"s{len(self.snapshots)}"
        state = {name: self.payload() for name in "ab"}
        writes = [TaskWrite("t", 0, payload=self.payload())]
        snapshot = Snapshot(snapshot_id=id_, state=state, metadata=Payload('{"a": 1}'))
        if await taken(self.store.put_snapshot(key, snapshot, task_writes=writes)):
            self.snapshots.append((key, id_))

    async def put_task_writes(self) -> None:
        index = self.chance.choice([-1, self.chance.randrange(1, 10**6)])
        write = TaskWrite("t", index, payload=self.payload())
        await taken(self.store.put_task_writes(self.run(), "", [write]))

    async def fork(self) -> None:
        base = self.run()
        new = NewFork(base, 0, f"{self.name}{len(self.runs)}")
        self.runs.append((await self.store.fork_run(new)).run.key)

    async def delete(self) -> None:
        if self.snapshots:
            key, id_ = self.chance.choice(self.snapshots)
            await taken(self.store.delete_snapshots(key, "", [id_], writer_epoch=None))

    async def complete(self) -> None:
        if self.chance.random() < 0.3:
            output = Output(self.payload(), provenance=self.payload())
            completion = Completion(Outcome.SUCCEEDED, output=output)
            await taken(self.store.complete_run(self.run(), completion))

    async def register(self) -> None:
        config = ConfigKey(self.chance.choice("pq"), "prompt", self.chance.choice("ab"))
        await self.store.configs.register_version(NewVersion(config, self.payload()))

    async def upload(self) -> None:
        await upload(self.store, self.run(), "a", b"x" * self.chance.choice([0, 3, 50]))


async def taken(write: Awaitable[object]) -> bool:
    """Whether the run took the write: some are completed, and some snapshots are in forks."""
    try:
        await write
    except (RunCompleted, SnapshotInUse):
        return False
    return True


@pytest.mark.parametrize("seed", range(3))
async def test_sums_equal_a_recount_whatever_is_written_meanwhile(
    relayed: PostgresStore, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Writers go on while the duty adds, changes its holder and starts over."""
    for name, few in (("COUNTED_RANGES", 3), ("TAKEN_CHANGES", 4), ("SCANNED_KEYS", 2)):
        monkeypatch.setattr(stored_bytes, name, few)
    chance = random.Random(seed)
    writers = [Random(relayed, chance, name) for name in "abc"]
    holder = ME

    async def write(writer: Random) -> None:
        while len(steps) < STEPS:
            await writer.write()

    steps: list[int | None] = []
    writing = asyncio.gather(*map(write, writers))
    while len(steps) < STEPS:
        await relayed.feed.publish(ME)
        if len(steps) % (STEPS // 4) == STEPS // 8:
            holder = OTHER if holder == ME else ME
            await relayed.feed.forget_stored(holder)
        steps.append(await relayed.feed.sum_stored(holder))
    await writing

    counted = await summed(relayed, holder)
    assert counted == await recounted(relayed)
    assert counted.keys() == {"p", "q"}
    await relayed.feed.forget_stored(ME)
    assert await relayed.feed.sum_stored(OTHER) is None
    assert await summed(relayed) == counted


@pytest.mark.owner
async def test_what_was_stored_before_the_migration_is_summed(
    database_url: str, own_schema: str
) -> None:
    before = make_store(database_url, own_schema, salted=False)
    try:
        writer = Random(before, random.Random(0), "before")
        for _ in range(40):
            await writer.write()
    finally:
        await before.close()
    await schema.downgrade(database_url, own_schema, "0018")
    await schema.upgrade(database_url, own_schema)
    store = make_store(database_url, own_schema)
    try:
        for duty in (RELAY, STORED_BYTES):
            await store.feed.hold_duty(duty, ME)
        writer = Random(store, random.Random(1), "after")
        for _ in range(10):
            await writer.write()

        assert await summed(store) == await recounted(store)
    finally:
        await store.close()


@pytest.mark.owner
async def test_a_role_with_the_rights_of_the_version_before_writes_on(
    database_url: str, own_schema: str, serving: asyncpg.Connection
) -> None:
    await schema.downgrade(database_url, own_schema, "0018")
    await schema.upgrade(database_url, own_schema)

    await serving.execute(
        "INSERT INTO runs (project, run_id, plan_json, body_hash, created_at)"
        " VALUES ('p', 'run', '{}', '', now())"
    )

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await serving.fetch("SELECT * FROM stored_changes")
