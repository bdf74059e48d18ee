"""docs/backup.md: what is backed up by its commands comes back by them, and goes on from there."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pytest
import runstore
from archived import fork_of, full_run
from e2e.documents import blocks, examples
from e2e.installation import SERVICE, Database, Installation, State, installed, serving
from e2e.servers import ServerProcess
from ports import reserved_port
from runstore_storage.contract.events import Event
from runstore_storage.contract.payloads import Payload
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore
from scopes import bound_to_arguments

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"
PROJECT = "acme/search"
(DUMPING, RESTORING, BASE, GOING_BACK, CHECKING, SERVING, VERIFYING, *LEDGER, ARCHIVING) = (
    each.command for each in examples(PAGE)
)
RUNS = "SELECT count(*) FROM runstore.run_heads"
BEFORE = (
    f"SELECT bytes FROM runstore.stored_bytes WHERE project = '{PROJECT}'",
    "SELECT max(last_position) FROM runstore.feed",
    "SELECT max(run) FROM runstore.runs",
    "SELECT last_seq FROM runstore.run_heads JOIN runstore.runs USING (run) WHERE run_id = 'open'",
)
LARGE = Payload('"' + "x" * 5000 + '"')


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """A server that archives its WAL, with what a project may have, all published and counted."""
    (archiving,) = (text for language, text in blocks(PAGE) if language == "ini")
    with installed(lambda folder: archiving.replace("/backups", f"{folder}/backups")) as made:
        made.paths = {
            "/backups": f"{made.folder}/backups",
            "/safe": f"{made.folder}/safe",
            "/srv/objects": str(made.database.objects),
            "/srv/": f"{made.folder}/srv/",
        }
        made.own(made.folder / "backups", made.folder / "backups/wal", made.folder / "srv")
        made.own(made.folder / "safe")
        asyncio.run(_fill(made.database))
        with serving(made.folder, made.database.environment) as server:
            with runstore.Client(server.target, project=PROJECT) as client:
                client.admin.place_hold("case 7", run_id="run")
                client.admin.create_token("board", ["reader@acme/*"])
                client.admin.set_limits(stored_bytes=10_000_000)
                client.save_run(run_id="gone").complete(runstore.Outcome.CANCELLED)
                client.admin.delete_run("gone", "case 8")
                client.save_run(run_id="doomed").complete(runstore.Outcome.CANCELLED)
                said = client.save_run(run_id="said")
                said.append("said", {"name": "Eve"}, subjects=["eve"])
                said.complete(runstore.Outcome.SUCCEEDED)
                client.save_run("left open", run_id="open").append("first")
                client.feed.commit("indexer", _published(client)[-1])
            _settle(made.database)
        yield made


async def _fill(database: Database) -> None:
    store = PostgresStore(
        database.url(SERVICE),
        schema="runstore",
        pool_size=5,
        append_lanes=1,
        poll_interval=0.5,
        objects_url=database.objects.as_uri(),
        large_payloads=LargePayloads(1024, to_objects=True),
        salted=True,
    )
    bound_to_arguments(store)
    try:
        run = await full_run(store, PROJECT)
        fork = await fork_of(store, run, 3, "fork")
        await store.append_events(fork, [Event("large", payload=LARGE)])
    finally:
        await store.close()


def _published(client: runstore.Client) -> list[int]:
    """The positions of the project's feed, once it has the last event of its open run."""
    positions = []
    last = client.run("open").get().last_seq
    for entry in client.feed.entries():
        positions.append(entry.position)
        if (entry.run_id, entry.event.seq) == ("open", last):
            return positions
    raise AssertionError("the feed has no end")


def _settle(database: Database) -> None:
    """Wait until every duty has come to the end of the feed, and nothing is left to add up."""
    wanted = (
        "SELECT count(*) FROM runstore.stored_changes UNION ALL"
        " SELECT count(*) FROM runstore.outbox UNION ALL"
        " SELECT count(*) FROM runstore.open_removals UNION ALL"
        " SELECT count(*) FROM runstore.duties WHERE name NOT IN ('removals', 'retention')"
        " AND position < (SELECT max(last_position) FROM runstore.feed)"
    )
    database.wait_for(wanted, ["0"] * 4)


@dataclass(frozen=True)
class Restored:
    """A database that was restored, and how the one before was at the backup's moment."""

    database: Database
    before: State


@pytest.fixture(scope="module")
def restored(installation: Installation) -> Restored:
    """What became of the dump. An artifact came between the rows and the objects."""
    database = installation.database
    before = database.state()
    dump, copy = DUMPING.splitlines()
    with serving(installation.folder, database.environment) as server:
        _done(installation, dump, database.environment)
        _write_later(server)
        _done(installation, copy, database.environment)
        _settle(database)
    objects = installation.folder / "srv/restored/objects"
    after = Database(database.port, "runstore_restored", objects)

    _done(installation, RESTORING, {"ADMIN_URL": database.url(), "RESTORED_URL": after.url()})

    return Restored(after, before)


def _write_later(server: ServerProcess) -> None:
    """Write what a backup of before does not bring back."""
    with runstore.Client(server.target, project=PROJECT) as client:
        client.run("open").append("late")
        client.artifacts.upload("open", "late", b"after the rows")


def _done(installation: Installation, command: str, environment: dict[str, str]) -> str:
    """What a command of the page prints, which ends well."""
    done = installation.run(command, environment)
    assert done.returncode == 0, command + done.stdout + done.stderr
    return done.stdout


@contextmanager
def _served_to_check(installation: Installation, database: Database) -> Iterator[dict[str, str]]:
    """The environment of commands beside the server that the page checks by."""
    *settings, _, command, host, address = shlex.split(SERVING)
    shown = dict(setting.split("=") for setting in settings)
    assert shown == {"RUNSTORE_RELAY": "false", "RUNSTORE_AUTH": "off"}
    environment = database.environment | shown
    with serving(installation.folder, environment, command, host, address) as server:
        yield environment | {"RUNSTORE_TARGET": server.target}


def test_a_dump_brings_back_every_row_and_goes_on(
    installation: Installation, restored: Restored
) -> None:
    assert restored.database.state().beside(restored.before) == []
    _holds_and_goes_on(installation, restored.database)


def _holds_and_goes_on(installation: Installation, restored: Database) -> None:
    checked = _done(installation, CHECKING, restored.environment)
    with _served_to_check(installation, restored) as environment:
        verified = _done(installation, VERIFYING, environment)
        archived = _done(installation, ARCHIVING, environment)

    assert "as needed" in checked
    assert verified.count("events agree with their hashes") == restored.number(RUNS)
    assert archived.count("The archive is not signed") == restored.number(RUNS)
    assert all(f"run '{run}'" in archived for run in ("run", "fork", "open", "said"))
    _goes_on(installation, restored)


def _goes_on(installation: Installation, restored: Database) -> None:
    """Writes, positions, sums and numbers go on from where they were."""
    stored, position, number, seq = map(restored.number, BEFORE)
    with (
        serving(installation.folder, restored.environment) as server,
        runstore.Client(server.target, project=PROJECT) as client,
    ):
        run = client.run("open")
        appended = run.append("second", {"a": 1})
        saved = client.save_run("new", run_id="new").append("first")
        feed = [
            (entry.position, entry.run_id, entry.event.seq)
            for entry in islice(client.feed.entries(position + 1), 2)
        ]
        verified = [client.run(each).verify().problem for each in ("run", "fork", "open", "new")]
        held = [hold.reason for hold in client.admin.holds("run")]
        report = client.artifacts.read(run_id="run", name="report")
        _settle(restored)

    assert (appended.seq, saved.seq) == (seq + 1, 1)
    assert feed == [(position + 1, "open", seq + 1), (position + 2, "new", 1)]
    assert verified == [""] * 4
    assert held == ["case 7"]
    assert report == b"the bytes of a report"
    assert restored.number(BEFORE[0]) == stored + len('{"a":1}')
    assert restored.number(BEFORE[2]) > number


def test_an_object_that_is_missing_is_found_as_shown(
    installation: Installation, restored: Restored
) -> None:
    lost = replace(restored.database, objects=installation.folder / "lost")
    installation.own(lost.objects)
    with _served_to_check(installation, lost) as environment:
        verified = installation.run(VERIFYING, environment)
        archived = installation.run(ARCHIVING, environment)

    assert verified.returncode == archived.returncode == 123
    assert f"fork of {PROJECT}:\nbroken at seq 6" in verified.stdout
    assert verified.stdout.count("broken") == 1
    assert "run 'open'" in archived.stdout
    assert "run 'run'" not in archived.stdout


def test_what_was_erased_and_deleted_after_the_dump_is_so_again(
    installation: Installation, restored: Restored
) -> None:
    writing, applying = LEDGER
    with (
        serving(installation.folder, installation.database.environment) as server,
        runstore.Client(server.target, project=PROJECT) as client,
    ):
        client.admin.erase_subject("eve", "case 9")
        client.admin.delete_run("doomed", "case 10")
        _settle_but_for_the_owner(installation.database)
    written = _done(installation, writing, installation.database.environment)
    _done(installation, "runstore erasures clean-up", installation.database.environment)
    with _client_to_check(installation, restored.database) as client:
        (back, _) = client.run("said").events()
        assert client.run("doomed").get().outcome is runstore.Outcome.CANCELLED

    applied = _done(installation, applying, restored.database.environment)

    assert written == "3 runs\n"
    assert applied.endswith("3 done, 0 asked, 0 refused\n")
    with _client_to_check(installation, restored.database) as client:
        (event, _) = client.run("said").events()
        verified = client.run("said").verify()
        with pytest.raises(runstore.RunNotFound):
            client.run("doomed").get()
    assert (bool(back.payload), event.payload) == (True, None)
    assert (verified.problem, verified.erased_events) == ("", 1)
    assert _done(installation, applying, restored.database.environment).endswith(
        "3 done, 0 asked, 0 refused\n"
    )


@contextmanager
def _client_to_check(installation: Installation, database: Database) -> Iterator[runstore.Client]:
    with (
        _served_to_check(installation, database) as environment,
        runstore.Client(environment["RUNSTORE_TARGET"], project=PROJECT) as client,
    ):
        yield client


def _settle_but_for_the_owner(database: Database) -> None:
    """Wait until nothing is left to remove but what only the owner of the tables may clean up."""
    wanted = (
        "SELECT count(*) FROM runstore.erasure_targets UNION ALL"
        " SELECT count(*) FROM runstore.open_removals JOIN runstore.removals USING (removal)"
        " WHERE kind <> 6"
    )
    database.wait_for(wanted, ["0"] * 2)


@pytest.mark.parametrize("options", ["", "--data-only", "--data-only --disable-triggers"])
def test_a_dump_is_refused_whole_by_a_schema_that_was_migrated(
    installation: Installation, restored: Restored, options: str
) -> None:
    database = _migrated(installation, "refusing")
    before = database.state()

    done = installation.run(
        f"pg_restore {options} --single-transaction --dbname={database.url()}"
        " /backups/runstore.dump",
        {},
    )

    assert "already exists" in done.stderr or "violates" in done.stderr
    assert done.returncode == 1
    assert database.state().beside(before) == []


def test_what_a_restore_leaves_that_went_on_past_its_errors_is_not_served(
    installation: Installation, restored: Restored
) -> None:
    database = _migrated(installation, "loaded_in_part")
    load = f"pg_restore --data-only --disable-triggers --dbname={database.url()}"

    done = installation.run(f"{load} /backups/runstore.dump", {})
    checked = installation.run(CHECKING, database.environment)
    served = installation.run("timeout 60 runstore serve --port 0 --no-http", database.environment)

    assert done.returncode == 1
    assert "errors ignored on restore" in done.stderr
    assert (checked.returncode, served.returncode) == (1, 4)
    assert "a dump was restored in part" in checked.stderr
    assert "a dump was restored in part" in served.stderr


def _migrated(installation: Installation, name: str) -> Database:
    """A database with an empty schema, for which a role is all there is of the backup's."""
    database = replace(installation.database, name=name)
    if not installation.database.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        installation.postgres.execute(f"CREATE DATABASE {name} OWNER runstore_owner")
        _done(installation, f"runstore migrate up --service-role {SERVICE}", database.environment)
    return database


def test_wal_brings_back_a_moment_and_nothing_later(installation: Installation) -> None:
    database = installation.database
    urls = {"ADMIN_URL": database.url()}
    base = installation.run(BASE, urls, as_account=True)
    assert base.returncode == 0, base.stderr
    with serving(installation.folder, database.environment) as server:
        with runstore.Client(server.target, project=PROJECT) as client:
            client.save_run("after the base", run_id="later").append("first")
        _settle(database)
    before = database.state()
    (moment,) = database.sql("SELECT now()")
    with serving(installation.folder, database.environment) as server:
        _write_later(server)
        _done(installation, DUMPING.splitlines()[1], urls)
    _archive(database)
    port = reserved_port()
    after = Database(port, "runstore", installation.folder / "srv/restored/objects")
    _done(installation, "".join(RESTORING.splitlines(keepends=True)[:2]), urls)

    going_back = GOING_BACK.replace("2026-11-28 09:30:00+00", moment)
    environment = {"PGPORT": str(port), "RESTORED_URL": after.url()}
    done = installation.run(going_back, environment, as_account=True)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        # A server that is recovered skips some numbers, so its sequences are ahead.
        assert after.state()._replace(sequences=before.sequences).beside(before) == []
        _holds_and_goes_on(installation, after)
    finally:
        installation.run("pg_ctl --pgdata=/srv/postgres stop", {}, as_account=True)


def _archive(database: Database) -> None:
    """Return once all WAL that is written by now is in the archive."""
    (last,) = database.sql("SELECT pg_walfile_name(pg_switch_wal())")
    archived = f"SELECT last_archived_wal >= '{last}' FROM pg_stat_archiver"
    database.wait_for(archived, ["t"])
