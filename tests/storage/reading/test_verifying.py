"""VerifyRun finds any change, removal or reordering."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.database.opening import connect
from runstore_storage.postgres import PostgresStore


@pytest.fixture
async def key(store: PostgresStore, project: str) -> RunKey:
    key = (await store.save_run(NewRun(project, "run", plan=Payload('{"a": 1}')))).run.key
    await store.append_events(
        key,
        [
            Event(f"t{n}", payload=Payload(f'{{"n": {n}}}'), tags=("x",), usage=Usage(1))
            for n in range(1, 6)
        ],
    )
    return key


@pytest.fixture
async def forger(
    database_url: str, db_schema: str, key: RunKey
) -> AsyncIterator[asyncpg.Connection]:
    """A connection that may switch the database's triggers off."""
    opened = await connect(database_url, schema=db_schema, name="test")
    await opened.execute("SET session_replication_role = replica")
    yield opened
    await opened.close()


async def test_an_untouched_run_verifies_whole_and_in_slices(
    store: PostgresStore, key: RunKey
) -> None:
    whole = await store.verify_run(key, from_seq=0, max_events=0)
    slices, from_seq = [], 1
    while from_seq:
        found = await store.verify_run(key, from_seq=from_seq, max_events=2)
        slices.append((found.checked_events, found.problem))
        from_seq = found.next_from_seq

    assert (whole.checked_events, whole.problem, whole.next_from_seq) == (5, "", 0)
    assert slices == [(2, ""), (2, ""), (1, "")]


@pytest.mark.parametrize(
    ("forgery", "seq"),
    [
        ("UPDATE events SET payload_json = '{\"n\":3}' WHERE seq = 3", 3),
        ("UPDATE events SET actor = 'somebody' WHERE seq = 2", 2),
        ("UPDATE events SET tags = '{x,y}' WHERE seq = 1", 1),
        ("UPDATE events SET input_tokens = 2 WHERE seq = 4", 4),
        ("UPDATE events SET recorded_at = recorded_at - interval '1 s' WHERE seq = 5", 5),
        ("UPDATE events SET occurred_at = now() WHERE seq = 5", 5),
        ("DELETE FROM events WHERE seq = 3", 3),
        ("DELETE FROM events WHERE seq = 5", 5),
        ("UPDATE events SET seq = CASE seq WHEN 2 THEN 99 ELSE seq END", 2),
        ("UPDATE run_heads SET last_hash = repeat('x', 32)::bytea", 5),
        ("UPDATE runs SET objective = 'another'", 1),
        ("UPDATE runs SET plan_json = '{\"a\":1}'", 1),
    ],
)
async def test_a_forgery_is_found_at_its_seq(
    store: PostgresStore, key: RunKey, forger: asyncpg.Connection, forgery: str, seq: int
) -> None:
    head, where, condition = forgery.partition(" WHERE ")
    own = "run = (SELECT run FROM runs WHERE project = $1)"
    statement = f"{head} WHERE {own}" + (f" AND {condition}" if where else "")
    if head.startswith("UPDATE runs"):
        statement = f"{head} WHERE project = $1"

    await forger.execute(statement, key.project)

    found = await store.verify_run(key, from_seq=1, max_events=0)
    assert found.problem_seq == seq
    assert found.problem
