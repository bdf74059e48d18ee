"""The roles of docs/deploy.md: each does its work with its grants, and lacks are named early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from conftest import make_store
from database import data_folder
from e2e.documents import blocks
from e2e.servers import ServerProcess
from field.postgres import PostgresServer
from runstore_migrations import schema
from runstore_server.cli.main import app
from runstore_server.relay.relay import Relay
from runstore_storage.contract.artifacts import Announced, NewArtifact
from runstore_storage.contract.configs import ConfigKey, NewVersion
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.feed import DeadLetter, sink_duty
from runstore_storage.contract.heads import Outcome
from runstore_storage.contract.outputs import Completion
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewFork, NewRun
from runstore_storage.contract.snapshots import Snapshot, TaskWrite
from runstore_storage.database.failures import explained
from runstore_storage.database.rights import MissingRights
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore
from runstore_storage.sql.partitions import RUNS_PER_PARTITION
from runstore_storage.writing.room import RUNS_AHEAD
from typer.testing import CliRunner, Result
from until import until

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"
SCHEMA = "runstore"
REFUSE_PARTITIONS = (
    f"REVOKE EXECUTE ON FUNCTION {SCHEMA}.make_partition(bigint) FROM runstore_service"
)
TABLES = f"SELECT count(*) FROM pg_tables WHERE schemaname = '{SCHEMA}'"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with data_folder() as folder:
        server = PostgresServer(folder).create("--encoding=UTF8", "--locale=C").start()
        server.execute(
            "CREATE DATABASE template",
            "REVOKE CREATE, TEMPORARY ON DATABASE template FROM public",
        )
        (grants,) = (text for language, text in blocks(PAGE) if language == "sql")
        server.execute(grants, database="template")
        owner = server.url_of("template", user="runstore_owner")
        done = migrate(owner, "up", "--service-role", "runstore_service")
        assert done.exit_code == 0, done.output
        yield server
        server.stop()


@pytest.fixture
def database(postgres: PostgresServer, request: pytest.FixtureRequest) -> str:
    """A database that was migrated by the owner, with the grants of the page."""
    name = f"db_{abs(hash(request.node.name)):x}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE template")
    return name


@asynccontextmanager
async def serving(url: str, **options: LargePayloads) -> AsyncIterator[PostgresStore]:
    store = make_store(url, SCHEMA, **options)
    try:
        yield store
    finally:
        await store.close()


def migrate(url: str, *arguments: str) -> Result:
    environment = {"RUNSTORE_DATABASE_URL": url, "RUNSTORE_DB_SCHEMA": SCHEMA}
    return CliRunner().invoke(app, ("migrate", *arguments), env=environment)


async def data() -> AsyncIterator[bytes]:
    yield b"bytes"


async def test_the_service_does_all_its_work_with_its_grants(
    postgres: PostgresServer, database: str
) -> None:
    url = postgres.url_of(database, user="runstore_service")
    await schema.check(url, SCHEMA)
    async with serving(url, large_payloads=LargePayloads(64)) as store:
        key = (await store.save_run(NewRun("acme", "run", labels={"a": "b"}))).run.key
        large = Payload('"' + "x" * 200 + '"')
        await store.append_events(key, [Event("said", payload=large, usage=Usage(1))])
        await store.append_events(key, [Event("said")])
        old = Snapshot(snapshot_id="old", seq=1)
        await store.put_snapshot(key, old)
        await store.put_snapshot(key, Snapshot(snapshot_id="s", seq=2))
        await store.put_task_writes(key, "", [TaskWrite("task", 0, "s", "channel", Payload("1"))])
        await store.delete_snapshots(key, "", ["old"])
        await store.resume_run(key, namespace="", request_id="r", actor="", limit=10)
        await store.fork_run(NewFork(key, fork_run_id="fork", at_seq=1))
        config = ConfigKey("acme", "prompt", "greeting")
        await store.configs.register_version(NewVersion(config, large, labels=("live",)))
        stored = Announced(sha256(b"bytes").digest(), 5)
        await store.artifacts.upload_artifact(NewArtifact(key, "a"), stored, data())
        await store.complete_run(key, Completion(Outcome.SUCCEEDED))
        relay = Relay(store, poll_seconds=1)
        relay.start()
        await relay.drain()
        await relay.stop()
        await store.feed.commit_position("acme", "consumer", 1)
        await store.feed.hold_duty(sink_duty("s"), "me")
        await store.feed.bury("me", [DeadLetter("s", 1, 1, "refused")])
        (letter,) = await store.feed.list_dead_letters("s", limit=10, after=0)

        assert await store.feed.remove_dead_letter(letter.id)
        assert (await store.verify_run(key, from_seq=1, max_events=0)).problem == ""
        assert store.warnings == ()


async def test_a_partition_that_no_one_may_make_fails_no_save_while_there_is_room(
    postgres: PostgresServer, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    last = 2 * RUNS_PER_PARTITION - 1
    postgres.execute(REFUSE_PARTITIONS, database=database)
    url = postgres.url_of(database, user="runstore_service")
    assert (await asyncio.to_thread(migrate, url, "check")).exit_code == 0
    postgres.execute(f"SELECT setval('runstore.runs_run_seq', {last - 3})", database=database)

    async with serving(url) as store:
        await store.save_run(NewRun("acme", "first"))
        await until(lambda: store.warnings)
        for name in ("second", "third"):
            key = (await store.save_run(NewRun("acme", name))).run.key
            await store.append_events(key, [Event("said")])
        with pytest.raises(StorageUnavailable, match="refuses the server a right") as refused:
            await store.save_run(NewRun("acme", "beyond"))
        checked = await asyncio.to_thread(migrate, url, "check")
        owner = postgres.url_of(database, user="runstore_owner")
        mended = await asyncio.to_thread(migrate, owner, "up", "--room", "500000")
        await store.save_run(NewRun("acme", "beyond"))

    assert "run `runstore migrate up`" in store.warnings[0]
    assert store.warnings[0] in caplog.text
    assert "permission denied" in explained(refused.value.__cause__)
    assert (checked.exit_code, mended.exit_code) == (1, 0)
    assert checked.stderr.startswith("0 more runs can be saved")
    assert (await asyncio.to_thread(migrate, url, "check")).exit_code == 0


@pytest.mark.parametrize("role", ["runstore_owner", "runstore_service"])
async def test_a_server_makes_partitions_ahead(
    postgres: PostgresServer, database: str, role: str
) -> None:
    url = postgres.url_of(database, user=role)
    postgres.execute(
        f"SELECT setval('runstore.runs_run_seq', {RUNS_PER_PARTITION + RUNS_AHEAD})",
        database=database,
    )
    async with serving(url) as store:
        await store.save_run(NewRun("acme", "first"))
        found = f"SELECT to_regclass('runstore.events_{2 * RUNS_PER_PARTITION}')"
        await until(lambda: postgres.execute(found, database=database))
        assert store.warnings == ()


def test_ready_says_what_operators_must_see_to(
    postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    postgres.execute(
        REFUSE_PARTITIONS,
        f"SELECT setval('runstore.runs_run_seq', {2 * RUNS_PER_PARTITION - 10})",
        "INSERT INTO runstore.runs (project, run_id, body_hash, created_at)"
        " VALUES ('acme', 'run', '', now())",
        database=database,
    )
    environment = {
        "RUNSTORE_DATABASE_URL": postgres.url_of(database, user="runstore_service"),
        "RUNSTORE_OBJECTS_URL": tmp_path.as_uri(),
        "RUNSTORE_DRAIN_SECONDS": "1",
    }
    server = ServerProcess(tmp_path / "server.log", environment)
    server.start()
    try:
        server.wait_until_serving()
        url = f"{server.http_target}/readyz"
        ready = {}
        while not ready.get("warnings"):
            ready = httpx.get(url).raise_for_status().json()
        metrics = httpx.get(f"{server.http_target}/metrics").raise_for_status().text
    finally:
        server.stop()

    assert "\nrunstore_warnings 1.0\n" in metrics
    assert ready["status"] == "ready"
    assert "8 more runs can be saved" in ready["warnings"][0]


@pytest.mark.parametrize(
    ("revoked", "named"),
    [
        ("INSERT, UPDATE ON runstore.run_heads", "UPDATE, INSERT on runstore.run_heads"),
        ("SELECT ON runstore.schema_version", "SELECT on runstore.schema_version"),
        ("USAGE ON SCHEMA runstore", "USAGE on schema runstore"),
        (
            "EXECUTE ON FUNCTION runstore.clear_run(bigint)",
            "EXECUTE on runstore.clear_run(bigint)",
        ),
    ],
)
async def test_a_right_that_the_service_lacks_is_named_before_it_serves(
    postgres: PostgresServer, database: str, revoked: str, named: str
) -> None:
    postgres.execute(f"REVOKE {revoked} FROM runstore_service", database=database)
    url = postgres.url_of(database, user="runstore_service")

    with pytest.raises(MissingRights) as refused:
        await schema.check(url, SCHEMA)
    checked = await asyncio.to_thread(migrate, url, "check")

    assert all(each in str(refused.value) for each in named.replace(",", "").split())
    assert checked.exit_code == 1
    assert checked.stderr.strip() == str(refused.value)


async def test_a_right_that_is_revoked_while_serving_is_named_in_the_log(
    postgres: PostgresServer, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(postgres.url_of(database, user="runstore_service")) as store:
        key = (await store.save_run(NewRun("acme", "run"))).run.key
        await store.append_events(key, [Event("said")])
        postgres.execute(
            "REVOKE INSERT ON runstore.events FROM runstore_service", database=database
        )
        with pytest.raises(StorageUnavailable, match="refuses the server a right"):
            await store.append_events(key, [Event("said")])
        postgres.execute("GRANT INSERT ON runstore.events TO runstore_service", database=database)
        await store.append_events(key, [Event("said")])

    assert "permission denied for table events" in caplog.text


def test_a_reader_reads_and_may_not_serve(postgres: PostgresServer, database: str) -> None:
    read = postgres.execute(
        "SELECT count(*) FROM runstore.events", database=database, user="runstore_reader"
    )
    checked = migrate(postgres.url_of(database, user="runstore_reader"), "check")

    assert read == "0"
    assert checked.exit_code == 1
    assert "INSERT on runstore.runs" in checked.stderr


def test_the_owners_login_is_for_migrations_alone(postgres: PostgresServer, database: str) -> None:
    environment = {
        "RUNSTORE_DATABASE_URL": postgres.url_of(database, user="runstore_service"),
        "RUNSTORE_DATABASE_OWNER_URL": postgres.url_of(database, user="runstore_owner"),
    }
    as_owner = [
        CliRunner().invoke(app, words, env=environment)
        for words in (("migrate", "up", "--room", "300000"), ("search", "rebuild"))
    ]
    postgres.execute("REVOKE INSERT ON runstore.feed FROM runstore_service", database=database)

    checked = CliRunner().invoke(app, ("migrate", "check"), env=environment)

    assert [done.exit_code for done in as_owner] == [0, 0]
    assert checked.exit_code == 1
    assert "runstore_service lacks INSERT on runstore.feed" in checked.stderr


def test_the_statements_that_are_printed_do_the_same(
    postgres: PostgresServer, database: str
) -> None:
    service = postgres.url_of(database, user="runstore_service")
    postgres.execute(
        "REVOKE ALL ON ALL TABLES IN SCHEMA runstore FROM runstore_service",
        "REVOKE USAGE ON SCHEMA runstore FROM runstore_service",
        database=database,
    )
    before = migrate(service, "check")

    printed = migrate(service, "grants", "runstore_service")
    postgres.execute(printed.stdout, database=database, user="runstore_owner")

    assert (before.exit_code, printed.exit_code) == (1, 0)
    assert migrate(service, "check").exit_code == 0


@pytest.mark.parametrize(
    ("role", "said"),
    [("nobody", "there is no role nobody"), ("runstore_owner", "owns the tables")],
)
def test_rights_for_a_role_that_cannot_have_them_are_refused_in_a_sentence(
    postgres: PostgresServer, database: str, role: str, said: str
) -> None:
    owner = postgres.url_of(database, user="runstore_owner")

    done = migrate(owner, "up", "--service-role", role)

    assert done.exit_code == 4
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


@pytest.mark.parametrize("role", ["runstore_service", "runstore_reader"])
def test_who_may_not_migrate_is_refused_in_a_sentence(
    postgres: PostgresServer, database: str, role: str
) -> None:
    before = postgres.execute(TABLES, database=database)

    done = migrate(postgres.url_of(database, user=role), "up")

    assert done.exit_code == 4
    assert len(done.stderr.splitlines()) == 1
    assert f"{role} lacks CREATE on schema runstore; the ownership of" in done.stderr
    assert postgres.execute(TABLES, database=database) == before


def test_where_there_is_no_schema_the_right_to_make_one_is_named(postgres: PostgresServer) -> None:
    postgres.execute("CREATE DATABASE bare", "REVOKE CREATE ON DATABASE bare FROM public")

    done = migrate(postgres.url_of("bare", user="runstore_owner"), "up")

    assert done.exit_code == 4
    assert len(done.stderr.splitlines()) == 1
    assert "runstore_owner lacks CREATE on database bare" in done.stderr
