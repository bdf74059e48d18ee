"""What the code must never do, the database refuses as well."""

from collections.abc import AsyncIterator
from hashlib import sha256

import asyncpg
import pytest
from runstore_storage.contract.artifacts import Announced, NewArtifact
from runstore_storage.contract.configs import ConfigKey, NewVersion
from runstore_storage.contract.events import Event
from runstore_storage.contract.heads import Outcome
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun
from runstore_storage.contract.snapshots import Snapshot
from runstore_storage.database.opening import connect
from runstore_storage.database.statements import statement
from runstore_storage.postgres import PostgresStore
from runstore_storage.sql.partitions import RUNS_PER_PARTITION


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


@pytest.fixture
async def run(store: PostgresStore, project: str) -> int:
    """A completed run with every kind of row, by its number."""
    key = (await store.save_run(NewRun(project, "run"))).run.key
    await store.append_events(key, [Event("a"), Event("b")])
    await store.put_snapshot(key, Snapshot(snapshot_id="s"))
    await store.complete_run(key, Completion(Outcome.SUCCEEDED))
    stored = Announced(sha256(b"").digest(), 0)
    await store.artifacts.upload_artifact(NewArtifact(key, "a"), stored, _nothing())
    async with store._engine.connect() as conn:
        found = await conn.execute(
            statement("SELECT run FROM runs WHERE project = :p1"), {"p1": project}
        )
        return int(found.scalar_one())


@pytest.fixture
async def conn(database_url: str, db_schema: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect(database_url, schema=db_schema, name="test")
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET type = 'x' WHERE run = $1",
        "DELETE FROM events WHERE run = $1",
        "UPDATE runs SET objective = 'x' WHERE run = $1",
        "DELETE FROM runs WHERE run = $1",
        "UPDATE outputs SET outcome = 2 WHERE run = $1",
        "DELETE FROM outputs WHERE run = $1",
        "UPDATE snapshots SET seq = 0 WHERE run = $1",
        "UPDATE artifacts SET name = 'x' WHERE run = $1",
        "UPDATE objects o SET size = 1 FROM artifacts a WHERE a.object = o.object AND run = $1",
        "UPDATE run_heads SET last_seq = last_seq - 1 WHERE run = $1",
        "UPDATE run_heads SET last_seq = last_seq + 1 WHERE run = $1",
        "UPDATE run_heads SET status = 1, outcome = 0, completed_at = NULL WHERE run = $1",
    ],
)
async def test_a_change_of_the_record_is_refused(
    conn: asyncpg.Connection, run: int, statement: str
) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await conn.execute(statement, run)


@pytest.fixture
async def config(store: PostgresStore, project: str) -> int:
    """A config with a version and a label, by its number."""
    key = ConfigKey(project, "prompt", "greeting")
    await store.configs.register_version(NewVersion(key, Payload('"hello"'), labels=("live",)))
    async with store._engine.connect() as conn:
        found = await conn.execute(
            statement("SELECT config FROM configs WHERE project = :p1"), {"p1": project}
        )
        return int(found.scalar_one())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE config_versions SET data = '' WHERE config = $1",
        "UPDATE config_versions SET description = 'x' WHERE config = $1",
        "DELETE FROM config_versions WHERE config = $1",
        "UPDATE config_label_moves SET actor = 'somebody else' WHERE config = $1",
        "DELETE FROM config_label_moves WHERE config = $1",
        "UPDATE configs SET name = 'farewell' WHERE config = $1",
        "UPDATE configs SET last_version = last_version - 1 WHERE config = $1",
        "DELETE FROM configs WHERE config = $1",
    ],
)
async def test_a_change_of_a_version_or_of_a_labels_history_is_refused(
    conn: asyncpg.Connection, config: int, statement: str
) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await conn.execute(statement, config)


async def test_a_label_cannot_point_to_a_version_that_is_not_there(
    conn: asyncpg.Connection, config: int
) -> None:
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="fk_config_labels_version"):
        await conn.execute("UPDATE config_labels SET version = 2 WHERE config = $1", config)


@pytest.mark.parametrize("table", ["configs", "config_versions", "config_label_moves"])
async def test_truncation_of_configs_is_refused(
    conn: asyncpg.Connection, config: int, table: str
) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await conn.execute(f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize("table", ["runs", "events", "events_0", "outputs"])
async def test_truncation_is_refused(conn: asyncpg.Connection, run: int, table: str) -> None:
    with pytest.raises((asyncpg.RestrictViolationError, asyncpg.FeatureNotSupportedError)):
        await conn.execute(f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize(
    ("seq", "event_id", "is_terminal", "constraint"),
    [
        (0, "new", False, "ck_events_seq"),
        (1, "new", False, "pk_events"),
        (9, "new", True, "uq_events_terminal"),
    ],
)
async def test_an_event_that_breaks_an_invariant_is_refused(
    conn: asyncpg.Connection,
    run: int,
    seq: int,
    event_id: str,
    is_terminal: bool,
    constraint: str,
) -> None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
        await conn.execute(
            "INSERT INTO events (run, seq, event_id, type, payload_bytes, recorded_at,"
            " is_terminal, body_hash, hash)"
            " VALUES ($1, $2, $3, 't', 0, now(), $4, '', repeat('x', 32)::bytea)",
            run,
            seq,
            event_id,
            is_terminal,
        )

    names = await conn.fetch(
        "SELECT p.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " JOIN pg_class p ON p.oid = i.inhparent WHERE c.relname = $1",
        caught.value.constraint_name,
    )
    own = [caught.value.constraint_name, *(row[0] for row in names)]
    assert constraint in own


async def test_a_known_event_id_is_refused(conn: asyncpg.Connection, run: int) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await conn.execute(
            "INSERT INTO events SELECT run, 99, event_id, type, node_id, actor, model, tool, tags,"
            " payload_json, payload_binary, payload_type, payload_bytes, input_tokens,"
            " output_tokens, cached_input_tokens, cost_micros, duration_us, trace_parent,"
            " occurred_at, recorded_at, is_terminal, body_hash, hash"
            " FROM events WHERE run = $1 AND seq = 1",
            run,
        )


async def test_partitions_are_made_before_their_first_run(
    store: PostgresStore, conn: asyncpg.Connection, project: str
) -> None:
    await conn.execute(
        "SELECT setval(pg_get_serial_sequence('runs', 'run'), $1)", 3 * RUNS_PER_PARTITION - 1
    )

    key = (await store.save_run(NewRun(project, "beyond"))).run.key
    await store.append_events(key, [Event("a")])

    rows = await conn.fetch("SELECT tableoid::regclass::text AS partition FROM events")
    assert f"events_{3 * RUNS_PER_PARTITION}" in {row["partition"] for row in rows}
