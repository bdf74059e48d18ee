"""docs/upgrade.md: an older database is brought up, sealed and taken back by its commands."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import runstore
from e2e.documents import Example, difference, examples
from e2e.installation import OWNER, Installation, installed, serving
from migrated import BEFORE_SALTS, WITH_SALTS
from runstore_migrations import schema
from runstore_storage.embedded.postgres import _binaries

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "upgrade.md"
MIGRATING, SEALING, GOING_BACK = examples(PAGE)
OLDER_RUN = (
    "INSERT INTO runstore.runs (project, run_id, body_hash, created_at)"
    " VALUES ('acme', 'older', '', now())"
)
BEFORE_INDEXES, WITH_HOLDS, WITH_REMOVALS, WITH_ERASURES = "0014", "0021", "0022", "0025"
WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%CREATE INDEX CONCURRENTLY%'"
    " AND wait_event_type = 'Lock'"
)
TERMINATED = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'runstore migrations'"
)
INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"


@contextmanager
def _older(version: str) -> Iterator[Installation]:
    """An installation of an older release, with a run."""
    with installed(version=version) as made:
        made.paths = {"/backups": f"{made.folder}/backups"}
        made.own(made.folder / "backups")
        made.database.sql(OLDER_RUN)
        yield made


def _shown(installation: Installation, example: Example, environment: dict[str, str]) -> str:
    done = installation.run(example.command, environment)
    assert not difference(example, done.returncode, done.stdout), done.stdout + done.stderr
    return done.stdout


def test_a_database_is_brought_up_from_its_backup_too() -> None:
    with _older(BEFORE_SALTS) as installation:
        database = installation.database
        # Its servers' role had the rights of that release; the owner has those of any.
        environment = database.environment | {"RUNSTORE_DATABASE_URL": database.url(OWNER)}
        checked = installation.run("runstore migrate check", environment)
        served = installation.run("timeout 60 runstore serve --port 0 --no-http", environment)

        said = _shown(installation, MIGRATING, database.environment)
        restored = replace(database, name="restored")
        database.sql("CREATE DATABASE restored")
        loaded = installation.run(
            f"pg_restore --single-transaction --dbname={restored.url()} /backups/before.dump", {}
        )
        again = _shown(installation, MIGRATING, restored.environment)

        assert (checked.returncode, served.returncode) == (1, 4)
        assert "run `runstore migrate up`" in checked.stderr
        assert checked.stderr == served.stderr
        assert said == again
        assert said.startswith(f"{BEFORE_SALTS}\n{BEFORE_SALTS} -> {schema.head()}\n")
        assert loaded.returncode == 0, loaded.stderr
        assert restored.state().beside(database.state()) == []


def test_it_is_sealed_and_not_taken_back_then() -> None:
    with _older(BEFORE_SALTS) as installation:
        database = installation.database
        _shown(installation, MIGRATING, database.environment)
        _write(installation, "unsalted")

        back = _shown(installation, GOING_BACK, database.environment)
        _shown(installation, MIGRATING, database.environment)
        sealed = _shown(installation, SEALING, database.environment)
        sealed_again = _shown(installation, SEALING, database.environment)
        _write(installation, "salted")
        before = database.state()
        refused = installation.run(GOING_BACK.command, database.environment)
        version = database.sql("SELECT version_num FROM runstore.schema_version")
        _shown(installation, MIGRATING, database.environment)

        assert back == f"{schema.head()} -> {BEFORE_SALTS}\n"
        assert "within half a minute" in sealed
        assert "already" in sealed_again
        assert refused.returncode == 4, refused.stderr
        assert "has salts" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert version == [WITH_SALTS]
        assert database.state().beside(before) == []


def _write(installation: Installation, run_id: str) -> None:
    with (
        serving(installation.folder, installation.database.environment) as server,
        runstore.Client(server.target, project="acme") as client,
    ):
        run = client.save_run(run_id, run_id=run_id)
        run.append("first")
        assert run.verify().problem == ""


def test_what_is_held_is_not_taken_back() -> None:
    with installed() as installation:
        database = installation.database
        with (
            serving(installation.folder, database.environment) as server,
            runstore.Client(server.target, project="acme") as client,
        ):
            client.save_run(run_id="run")
            client.admin.place_hold("case 7", run_id="run")
        # A version at a time: the next one lets itself be taken back.
        installation.run(f"runstore migrate down {WITH_HOLDS} --yes", database.environment)
        before = database.state()

        refused = installation.run(
            f"runstore migrate down {WITH_SALTS} --yes", database.environment
        )

        assert refused.returncode == 4, refused.stderr
        assert "there are holds" in refused.stderr
        assert database.state().beside(before) == []


def test_a_deleted_run_is_not_taken_back() -> None:
    with installed() as installation:
        database = installation.database
        with (
            serving(installation.folder, database.environment) as server,
            runstore.Client(server.target, project="acme") as client,
        ):
            client.save_run(run_id="run").complete(runstore.Outcome.CANCELLED)
            client.admin.delete_run("run", "case 8")
            database.wait_for("SELECT count(*) FROM runstore.open_removals", ["0"])
        installation.run(f"runstore migrate down {WITH_REMOVALS} --yes", database.environment)
        before = database.state()

        refused = installation.run(
            f"runstore migrate down {WITH_HOLDS} --yes", database.environment
        )

        assert refused.returncode == 4, refused.stderr
        assert "runs were deleted" in refused.stderr
        assert database.state().beside(before) == []


def test_an_erased_event_is_not_taken_back() -> None:
    with installed() as installation:
        database = installation.database
        with (
            serving(installation.folder, database.environment) as server,
            runstore.Client(server.target, project="acme") as client,
        ):
            run = client.save_run(run_id="run")
            run.append("said", {"name": "Ann"}, subjects=["ann"])
            run.complete()
            client.admin.erase_subject("ann", "case 9")
            database.wait_for("SELECT count(*) FROM runstore.erasure_targets", ["0"])
        installation.run(f"runstore migrate down {WITH_ERASURES} --yes", database.environment)
        before = database.state()

        refused = installation.run(
            f"runstore migrate down {WITH_REMOVALS} --yes", database.environment
        )

        assert refused.returncode == 4, refused.stderr
        assert "events were erased" in refused.stderr
        assert database.state().beside(before) == []


def test_a_server_that_runs_goes_on_and_one_that_starts_refuses_the_newer_schema() -> None:
    with installed() as installation:
        database = installation.database
        with (
            serving(installation.folder, database.environment) as server,
            runstore.Client(server.target, project="acme") as client,
        ):
            run = client.save_run(run_id="run")
            database.sql("UPDATE runstore.schema_version SET version_num = '9999'")

            appended = run.append("first")
            started = installation.run(
                "timeout 60 runstore serve --port 0 --no-http", database.environment
            )

        assert appended.seq == 1
        assert started.returncode == 4
        assert "newer than this release" in started.stderr
        assert len(started.stderr.splitlines()) == 1


def test_a_migration_that_was_killed_amid_an_index_is_repeated() -> None:
    with _older(BEFORE_INDEXES) as installation:
        database = installation.database
        with _keeping_a_lock(installation, "LOCK runstore.runs IN ROW EXCLUSIVE MODE"):
            migrating = subprocess.Popen(
                [Path(sys.executable).with_name("runstore"), "migrate", "up"],
                env=installation.environment(database.environment),
            )
            database.wait_for(WAITS, ["1"])
            migrating.send_signal(signal.SIGKILL)
            migrating.wait()
            database.sql(TERMINATED)
        database.wait_for(WAITS, ["0"])
        left = database.number(INVALID)

        _shown(installation, MIGRATING, database.environment)

        assert left == 1
        assert database.number(INVALID) == 0


def test_a_migration_that_waits_for_a_lock_ends_and_is_repeated() -> None:
    with _older(BEFORE_SALTS) as installation:
        database = installation.database
        with _keeping_a_lock(installation, "LOCK runstore.events IN ACCESS SHARE MODE"):
            waited = installation.run("runstore migrate up", database.environment)
            before = database.sql("SELECT version_num FROM runstore.schema_version")

        _shown(installation, MIGRATING, database.environment)

        assert waited.returncode != 0
        assert before == [BEFORE_SALTS]
        assert len(waited.stderr.splitlines()) == 1, waited.stderr


@contextmanager
def _keeping_a_lock(installation: Installation, statement: str) -> Iterator[None]:
    """A transaction that has executed the statement and stays open."""
    open_ = subprocess.Popen(
        [_binaries() / "psql", "-XAtq", installation.database.url()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert open_.stdin
    assert open_.stdout
    open_.stdin.write(f"BEGIN; {statement}; SELECT 'kept';\n")
    open_.stdin.flush()
    assert open_.stdout.readline() == "kept\n"
    try:
        yield
    finally:
        open_.communicate()
