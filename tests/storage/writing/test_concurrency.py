"""Many writers at once: no gap, no repeat, no hole for a reader."""

import asyncio
from collections import Counter

from conftest import make_store
from runstore_storage.contract.errors import SeqConflict
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import Guard, Outcome, RunKey
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.scope import own
from runstore_storage.database.statements import system
from runstore_storage.postgres import PostgresStore
from runstore_storage.run_write import lock_runs
from runstore_storage.sql import heads
from storage.contract.waiting import locked, queued

WRITERS = 32
EACH = 25


async def write(store: PostgresStore, key: RunKey, name: str) -> list[tuple[str, int]]:
    acked = []
    for number in range(EACH):
        event_id = f"{name}-{number}"
        (appended,) = await store.append_events(key, [Event("tick", event_id=event_id)])
        acked.append((event_id, appended.seq))
    return acked


async def all_events(store: PostgresStore, key: RunKey) -> list[tuple[str, int]]:
    found, from_seq = [], 1
    while True:
        page = await store.read_events(key, from_seq, limit=1000)
        found += [(each.event.event_id, each.seq) for each in page.events]
        if page.reaches_end:
            return found
        from_seq = page.next_from_seq


async def test_32_writers_on_one_run_leave_no_gap(
    store: PostgresStore, other: PostgresStore, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key

    written = await asyncio.gather(
        *(write((store, other)[n % 2], key, f"w{n}") for n in range(WRITERS))
    )

    acked = sorted((pair for pairs in written for pair in pairs), key=lambda pair: pair[1])
    assert [seq for _, seq in acked] == list(range(1, WRITERS * EACH + 1))
    assert await all_events(store, key) == acked
    assert not (await store.verify_run(key, from_seq=1, max_events=0)).problem


async def test_32_writers_on_many_runs_leave_no_gap(
    store: PostgresStore, other: PostgresStore, project: str
) -> None:
    keys = [(await store.save_run(NewRun(project, f"run{n}"))).run.key for n in range(8)]

    written = await asyncio.gather(
        *(write((store, other)[n % 2], keys[n % 8], f"w{n}") for n in range(WRITERS))
    )

    for place, key in enumerate(keys):
        expected = {pair for pairs in written[place::8] for pair in pairs}
        found = await all_events(store, key)
        assert set(found) == expected
        assert [seq for _, seq in found] == list(range(1, len(expected) + 1))


async def test_a_reader_never_sees_a_hole(
    store: PostgresStore, other: PostgresStore, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key
    writers = asyncio.gather(*(write(store, key, f"w{n}") for n in range(8)))

    reads = 0
    while not writers.done():
        seqs = [seq for _, seq in await all_events(other, key)]
        assert seqs == list(range(1, len(seqs) + 1))
        reads += 1
    await writers

    assert reads > 0


async def test_of_racing_writers_one_wins_each_seq(
    store: PostgresStore, other: PostgresStore, project: str
) -> None:
    key = (await store.save_run(NewRun(project, "run"))).run.key

    async def race(seen: int, number: int) -> str:
        try:
            await (store, other)[number % 2].append_events(
                key, [Event("move")], Guard(expected_seq=seen)
            )
        except SeqConflict:
            return "lost"
        return "won"

    for seen in range(5):
        results = await asyncio.gather(*(race(seen, number) for number in range(8)))
        assert Counter(results) == {"won": 1, "lost": 7}


async def test_runs_saved_at_once_under_one_id_are_one_run(
    store: PostgresStore, other: PostgresStore, project: str
) -> None:
    saved = await asyncio.gather(
        *((store, other)[n % 2].save_run(NewRun(project, "run")) for n in range(16))
    )

    assert sum(not each.deduplicated for each in saved) == 1


async def test_the_first_runs_of_many_processes_share_one_new_partition(
    database_url: str, own_schema: str
) -> None:
    stores = [make_store(database_url, own_schema) for _ in range(6)]
    try:
        for store in stores:  # connected, and sure that there is no partition yet
            async with store._engine.connect() as conn:
                await conn.execute(system("SELECT to_regclass('events_0')"))
        saved = await asyncio.gather(
            *(
                store.save_run(NewRun("p", f"{place}-{number}"))
                for place, store in enumerate(stores)
                for number in range(4)
            )
        )
    finally:
        for store in stores:
            await store.close()

    assert len({each.run.key for each in saved}) == 24


async def test_runs_are_locked_in_the_order_of_their_birth(
    store: PostgresStore, project: str
) -> None:
    keys = [(await store.save_run(NewRun(project, f"run{n}"))).run.key for n in range(4)]

    async def lock_all() -> None:
        async with store._engine.begin() as conn:
            await lock_runs(conn, map(own, keys))

    async with locked(store, keys[1]):
        locking = asyncio.create_task(lock_all())
        await queued(store, 1)
        for key in keys[2:]:  # which two batches in another order would wait for in a circle
            async with asyncio.timeout(10), locked(store, key):
                pass
    await locking


async def test_no_other_run_is_locked_or_looked_at(store: PostgresStore, project: str) -> None:
    keys = [RunKey(of, run_id) for of in (project, f"{project}/other") for run_id in ("a", "b")]
    for key in keys:
        await store.save_run(NewRun(key.project, key.run_id))
    await store.complete_run(keys[3], Completion(Outcome.FAILED))
    wanted = [own(each) for each in (keys[0], keys[3], RunKey(project, "none"))]

    async with store._engine.begin() as conn:
        locked_ones = await lock_runs(conn, wanted)
        looked_at = await heads.last_seqs(conn, wanted)

    assert locked_ones.keys() == {wanted[0], wanted[1]}
    assert looked_at == {wanted[0]: (0, False), wanted[1]: (1, True)}
