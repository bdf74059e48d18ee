"""What is hashed is salted, in new databases at once, in older ones once they are sealed.

Whatever is in the database already is known again whether its hash is salted or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest
from conftest import make_store
from database import drop_schema
from migrated import unsealed
from runstore_migrations import schema
from runstore_storage import chain, salts
from runstore_storage.contract.errors import IdempotencyMismatch, StorageError
from runstore_storage.contract.events import Event, NewAppend, Usage
from runstore_storage.contract.heads import Outcome, RunKey
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import ExternalRef, NewFork, NewRun
from runstore_storage.contract.snapshots import (
    Snapshot,
    SnapshotSelector,
    StoredSnapshot,
    TaskWrite,
)
from runstore_storage.database.connection import Connection
from runstore_storage.database.opening import connect
from runstore_storage.postgres import PostgresStore
from runstore_storage.reading import completions
from runstore_storage.sql.snapshots import StoredRow

SALTED = ("runs", "events", "outputs", "snapshots", "task_writes", "requests")
KEY = RunKey("project", "run")
RUN = NewRun(
    "project",
    "run",
    objective="find Ann",
    plan=Payload("[1]"),
    tags=("secret",),
    labels={"of": "Ann"},
    external_ref=ExternalRef("jira", "7", "https://x/Ann"),
    subjects=("ann",),
)
EVENTS = (
    Event("a", "1", Payload('{"name": "Ann"}')),
    Event("b", "2", Payload(b"Ann"), actor="Ann", tags=("Ann",), usage=Usage(1), subjects=("ann",)),
)
SNAPSHOT = Snapshot(
    snapshot_id="s", state={"x": Payload('"Ann"')}, metadata=Payload('{"of": "Ann"}')
)
WRITE = TaskWrite("task", 0, "s", "channel", Payload('"Ann"'))
COMPLETION = Completion(
    Outcome.SUCCEEDED,
    (Event("c", "3", Payload('"Ann"')),),
    Output(Payload('"Ann"'), statistics=Payload("{}")),
    Snapshot(snapshot_id="last", state={"x": Payload('"Ann"')}),
)


async def resumed(store: PostgresStore, actor: str = "Ann") -> None:
    await store.resume_run(KEY, namespace="", request_id="again", actor=actor, limit=1)


WRITES: dict[str, Callable[[PostgresStore], Awaitable[object]]] = {
    "save": lambda store: store.save_run(RUN),
    "append": lambda store: store.append_events(KEY, EVENTS),
    "append many": lambda store: store.append_many([NewAppend(KEY, [Event("m", "m")])]),
    "put": lambda store: store.put_snapshot(
        KEY, SNAPSHOT, events=[Event("d", "4")], task_writes=[WRITE], request_id="put"
    ),
    "task writes": lambda store: store.put_task_writes(KEY, "", [WRITE]),
    "resume": resumed,
    "fork": lambda store: store.fork_run(NewFork(KEY, 2, "fork")),
    "complete": lambda store: store.complete_run(KEY, COMPLETION),
}
"""In this order, they use every table that has salts."""


async def write_all(store: PostgresStore) -> None:
    for write in WRITES.values():
        await write(store)


async def salts_of(conn: asyncpg.Connection) -> dict[str, list[bytes | None]]:
    """The salts of the project's rows, by table."""
    of_project = "run IN (SELECT run FROM runs WHERE project = 'project')"
    return {
        table: [
            row["salt"] for row in await conn.fetch(f"SELECT salt FROM {table} WHERE {of_project}")
        ]
        for table in SALTED
    }


async def is_whole(store: PostgresStore, key: RunKey = KEY) -> bool:
    return not (await store.verify_run(key, from_seq=1, max_events=0)).problem


@pytest.fixture
async def older_schema(database_url: str) -> AsyncIterator[str]:
    """A schema in which there were runs before there were salts."""
    name = f"runstore_own_{uuid4().hex[:8]}"
    await unsealed(database_url, name)
    yield name
    await drop_schema(database_url, name)


@pytest.fixture
async def older(database_url: str, older_schema: str) -> AsyncIterator[PostgresStore]:
    opened = make_store(database_url, older_schema, salted=False)
    yield opened
    await opened.close()


@pytest.fixture
async def older_owner(database_url: str, older_schema: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect(database_url, schema=older_schema, name="test")
    yield opened
    await opened.close()


async def test_all_that_is_written_to_a_new_database_has_a_salt_of_its_own(
    own: PostgresStore, owner: asyncpg.Connection
) -> None:
    await write_all(own)

    found = await salts_of(owner)
    drawn = [salt for salts_ in found.values() for salt in salts_]
    assert all(found.values())
    assert {len(salt or b"") for salt in drawn} == {chain.SALT_BYTES}
    assert len(set(drawn)) == len(drawn)
    assert await is_whole(own)
    assert await is_whole(own, RunKey("project", "fork"))


async def test_no_hash_that_is_kept_confirms_a_guess(
    own: PostgresStore, owner: asyncpg.Connection
) -> None:
    """Of what may be erased, only the salted hashes stay: these are the others."""
    await write_all(own)

    events = [*EVENTS, *COMPLETION.events]
    unsalted = {
        chain.save_hash(RUN),
        chain.birth_hash(RUN),
        chain.fork_request_hash(NewFork(KEY, 2, "fork")),
        *map(chain.event_hash, events),
        chain.task_write_hash(WRITE),
        chain.snapshot_hash(SNAPSHOT),
        chain.output_hash(COMPLETION.output),
        chain.completion_hash(COMPLETION),
    }
    columns = await owner.fetch("""
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND data_type IN ('bytea', 'jsonb', 'json', 'text')
    """)
    assert len(columns) > 100
    for table, column in columns:
        for (value,) in await owner.fetch(f'SELECT "{column}"::text FROM {table}'):
            assert not [each.hex() for each in unsalted if each.hex() in (value or "")], column


async def test_an_older_database_has_no_salts_until_it_is_sealed(
    database_url: str, older_schema: str, older: PostgresStore, older_owner: asyncpg.Connection
) -> None:
    await write_all(older)
    assert {salt for found in (await salts_of(older_owner)).values() for salt in found} == {None}
    assert await is_whole(older)

    assert await schema.seal(database_url, older_schema)
    assert not await schema.seal(database_url, older_schema)

    sealed = make_store(database_url, older_schema)
    key = (await sealed.save_run(NewRun("project", "next"))).run.key
    await sealed.append_events(key, EVENTS)
    await sealed.close()
    rows = await older_owner.fetch(
        "SELECT e.salt FROM events e JOIN runs USING (run) WHERE run_id = 'next'"
    )
    assert [len(row["salt"]) for row in rows] == [chain.SALT_BYTES] * 2


async def test_a_store_notices_that_its_database_was_sealed(
    database_url: str,
    older_schema: str,
    older: PostgresStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(salts, "LOOK_SECONDS", 0.01)
    await older.look_for_seal()
    following = asyncio.create_task(older.follow_seal())
    await older.save_run(RUN)
    await older.append_events(KEY, EVENTS[:1])

    await schema.seal(database_url, older_schema)
    async with asyncio.timeout(30):
        await following
    await older.append_events(KEY, EVENTS[1:])

    page = await older.read_events(KEY, 1, limit=9)
    assert [bool(each.salt) for each in page.events] == [False, True]
    assert await is_whole(older)


@pytest.mark.parametrize("sealed_before", range(len(WRITES)))
async def test_a_history_may_begin_without_salts_and_go_on_with_them(
    database_url: str, older_schema: str, older: PostgresStore, sealed_before: int
) -> None:
    writes = list(WRITES.values())
    for write in writes[:sealed_before]:
        await write(older)
    await schema.seal(database_url, older_schema)
    sealed = make_store(database_url, older_schema)
    try:
        for write in writes[sealed_before:]:
            await write(sealed)

        assert await is_whole(sealed)
        assert await is_whole(sealed, RunKey("project", "fork"))
        last = (await sealed.get_run(KEY)).last_seq
        for write in writes:  # each of them is known, however it was hashed
            await write(sealed)
        assert (await sealed.get_run(KEY)).last_seq == last
    finally:
        await sealed.close()


OTHERS: dict[str, Callable[[PostgresStore], Awaitable[object]]] = {
    "a run": lambda store: store.save_run(NewRun("project", "run", objective="find Bob")),
    "a run of another subject": lambda store: store.save_run(
        NewRun(**{**_fields(RUN), "subjects": ("bob",)})
    ),
    "an event": lambda store: store.append_events(KEY, [Event("a", "1", Payload("{}"))]),
    "an event of another subject": lambda store: store.append_events(
        KEY, [Event("a", "1", EVENTS[0].payload, subjects=("bob",))]
    ),
    "a snapshot": lambda store: store.put_snapshot(KEY, SNAPSHOT, request_id="put"),
    "a task write": lambda store: store.put_task_writes(
        KEY, "", [TaskWrite("task", 0, "s", "channel", Payload('"Bob"'))]
    ),
    "a resume": lambda store: resumed(store, "Bob"),
    "a fork": lambda store: store.fork_run(NewFork(KEY, 1, "fork")),
}


def _fields(new: NewRun) -> dict[str, object]:
    return {name: getattr(new, name) for name in NewRun.__slots__}


@pytest.mark.parametrize("is_sealed", [True, False])
@pytest.mark.parametrize("other", OTHERS)
async def test_other_content_is_told_from_what_is_stored(
    own: PostgresStore, older: PostgresStore, is_sealed: bool, other: str
) -> None:
    store = own if is_sealed else older
    await write_all(store)

    with pytest.raises(StorageError) as refused:
        await OTHERS[other](store)

    assert isinstance(refused.value, IdempotencyMismatch)


async def test_a_revision_of_the_output_is_told_from_the_one_before(own: PostgresStore) -> None:
    await write_all(own)

    revised = await own.complete_run(KEY, Completion(Outcome.SUCCEEDED, (), Output()))
    again = await own.complete_run(KEY, Completion(Outcome.SUCCEEDED, (), Output()))
    first = await own.complete_run(KEY, COMPLETION)

    assert [(each.revision, each.deduplicated) for each in (revised, again, first)] == [
        (2, False),
        (2, True),
        (1, True),
    ]
    assert await is_whole(own)


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE outputs SET payload_json = '\"Bob\"'",
        "UPDATE outputs SET statistics_json = '{\"a\":1}'",
        "UPDATE outputs SET outcome = 3",
        "UPDATE outputs SET schema_hash = 'other'",
        "UPDATE outputs SET salt = repeat('x', 16)::bytea",
        "DELETE FROM outputs",
        "UPDATE snapshots SET plan_version_id = 'other' WHERE snapshot_id = 'last'",
        "UPDATE snapshots SET salt = repeat('x', 16)::bytea WHERE snapshot_id = 'last'",
        "UPDATE snapshots SET manifest = (SELECT manifest FROM snapshots WHERE snapshot_id = 's')"
        " WHERE snapshot_id = 'last'",
        "UPDATE blobs SET data = (SELECT data FROM blobs ORDER BY blob LIMIT 1)",
        "UPDATE blobs SET data = 'x'",
        "UPDATE snapshots SET manifest = '\\x00' WHERE snapshot_id = 'last'",
        "UPDATE snapshots SET manifest = (SELECT data FROM blobs ORDER BY blob LIMIT 1)"
        " WHERE snapshot_id = 'last'",
        "UPDATE run_heads SET outcome = 2, status = 4",
        "DELETE FROM blobs",
    ],
)
async def test_a_forged_output_or_final_snapshot_is_found_at_the_terminal_event(
    own: PostgresStore, owner: asyncpg.Connection, forgery: str
) -> None:
    await own.save_run(RUN)
    await own.append_events(KEY, EVENTS)
    await own.put_snapshot(KEY, Snapshot(snapshot_id="s", state={"x": Payload("1")}))
    done = await own.complete_run(KEY, COMPLETION)
    assert await is_whole(own)
    await owner.execute("SET session_replication_role = replica")

    await owner.execute(forgery)

    found = await own.verify_run(KEY, from_seq=1, max_events=0)
    assert found.problem
    assert found.problem_seq == done.seq


async def test_a_final_snapshot_that_was_deleted_is_not_missed(own: PostgresStore) -> None:
    await write_all(own)

    await own.delete_snapshots(KEY, "", ["last"])

    assert await is_whole(own)


async def test_a_final_snapshot_that_is_deleted_while_it_is_verified_is_not_missed(
    own: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_all(own)
    load = completions.with_all_parts

    async def deleted_meanwhile(conn: Connection, row: StoredRow) -> StoredSnapshot | None:
        await own.delete_snapshots(KEY, "", ["s", "last"])
        return await load(conn, row)

    monkeypatch.setattr(completions, "with_all_parts", deleted_meanwhile)

    assert await is_whole(own)


async def test_a_snapshot_says_what_its_hash_is_salted_with(own: PostgresStore) -> None:
    await write_all(own)

    found = (await own.get_snapshot(KEY, "", SnapshotSelector(snapshot_id="last"))).snapshot

    assert found.salt
    unsalted = chain.snapshot_hash(found.snapshot)
    assert found.content_hash == chain.salted_hash(unsalted, found.salt)
