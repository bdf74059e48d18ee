"""docs/backup.md and docs/upgrade.md are followed as they are written, and lose nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
import runstore
from database import data_folder
from e2e.documents import blocks
from e2e.servers import ServerProcess
from field.postgres import PostgresServer

DOCS = Path(__file__).parents[2] / "docs"
LARGE = 3000


def shown(page: str, kind: str) -> list[str]:
    """The blocks of a kind that a page shows."""
    return [text for info, text in blocks(DOCS / page) if info == kind]


@dataclass
class Operator:
    """Somebody at a shell, with Postgres' programs and ours, in an empty folder."""

    postgres: PostgresServer
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def url(self, database: str = "runstore") -> str:
        return self.postgres.url_of(database)

    def run(self, script: str, *, is_done: bool = True) -> str:
        """What a script prints; it ends well, or not, as `is_done` says."""
        programs = (str(self.postgres.programs), str(Path(sys.executable).parent))
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env=os.environ
            | {"PATH": os.pathsep.join([*programs, os.environ["PATH"]])}
            | self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is is_done, done.stdout + done.stderr
        return done.stdout + done.stderr

    def server(self, database: str, objects: str) -> ServerProcess:
        environment = {
            "RUNSTORE_DATABASE_URL": self.url(database),
            "RUNSTORE_OBJECTS_URL": (self.folder / objects).as_uri(),
            "RUNSTORE_LARGE_PAYLOADS": "objects",
            "RUNSTORE_PAYLOAD_INLINE_BYTES": str(LARGE // 2),
        }
        made = ServerProcess(self.folder / f"{database}.log", environment)
        made.start()
        made.wait_until_serving()
        return made

    def rows(self, database: str = "runstore") -> Mapping[str, list[str]]:
        """All rows of all tables but the duties, whose leases move."""
        return asyncio.run(_rows(self.url(database)))


async def _rows(url: str) -> Mapping[str, list[str]]:
    conn = await asyncpg.connect(url, server_settings={"search_path": "runstore"})
    try:
        tables = await conn.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'runstore'::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'duties'"
        )
        return {
            table: [row[0] for row in await conn.fetch(f"SELECT t::text FROM {table} t ORDER BY 1")]
            for (table,) in tables
        }
    finally:
        await conn.close()


@pytest.fixture
def operator() -> Iterator[Operator]:
    with data_folder() as folder:
        # The server's account archives into it.
        (folder / "wal").mkdir()
        (folder / "wal").chmod(0o777)
        settings = {
            name: value.strip("'").replace("/wal/", f"{folder}/wal/")
            for name, _, value in (
                line.partition(" = ") for line in shown("backup.md", "ini")[0].splitlines()
            )
        }
        postgres = PostgresServer(folder, settings=settings).create("--encoding=UTF8").start()
        try:
            postgres.execute("CREATE DATABASE runstore")
            made = Operator(postgres, folder)
            made.environment = {"RUNSTORE_DATABASE_URL": made.url(), "OBJECTS": "objects"}
            made.run("runstore migrate up")
            yield made
        finally:
            postgres.stop()


def fill(target: str) -> None:
    with runstore.Client(target, project="acme/search") as client:
        run = client.save_run("look it up", run_id="run-1", plan={"steps": ["search"]})
        run.append_many([runstore.NewEvent("tick", {"n": n}) for n in range(50)])
        run.append("large", {"text": os.urandom(LARGE).hex()})
        run.snapshot(state={"a": "x" * LARGE})
        client.artifacts.upload("run-1", "report", b"bytes")
        fork = run.fork(run_id="fork")
        fork.append("tock")
        fork.complete(runstore.Outcome.SUCCEEDED, {"answer": 42})
        client.save_run(run_id="child", parent_run_id="run-1")
        client.configs.register("prompt", "greeting", {"system": "Hi."}, labels=["live"])
        client.admin.place_hold("case 7", run_id="fork")
        client.admin.create_token("t", ["reader@acme/search"])
        gone = client.save_run(run_id="gone")
        gone.complete(runstore.Outcome.CANCELLED)
        client.admin.delete_run("gone", "case 8")


def goes_on(operator: Operator, database: str, objects: str, exported: bytes) -> None:
    """A restored database serves what it had, and is written on."""
    server = operator.server(database, objects)
    operator.environment["RUNSTORE_TARGET"] = server.target
    try:
        with runstore.Client(server.target, project="acme/search") as client:
            client.run("run-1").export(operator.folder / "restored.tar")
            before = client.feed.read().last_position
            appended = client.run("run-1").append("more")
            while client.feed.read().last_position == before:
                pass
        said = operator.run(shown("backup.md", "sh")[-1])
    finally:
        server.stop()
    assert (operator.folder / "restored.tar").read_bytes() == exported
    assert appended.seq == 52
    # Of three runs, and of the records.
    assert said.count("agree with their hashes") == 4, said


@pytest.fixture
def exported(operator: Operator) -> bytes:
    """A filled database whose duties have done everything, and the archive of its run."""
    server = operator.server("runstore", "objects")
    try:
        fill(server.target)
        with runstore.Client(server.target, project="acme/search") as client:
            while next(iter(client.admin.removals())).done_at is None:
                pass
            client.run("run-1").export(operator.folder / "before.tar")
    finally:
        server.stop()
    return (operator.folder / "before.tar").read_bytes()


@pytest.mark.slow
def test_a_dump_is_restored_as_a_whole(operator: Operator, exported: bytes) -> None:
    dump, restore, *_ = shown("backup.md", "sh")
    before = operator.rows()

    operator.run(dump)
    operator.environment |= {
        "RESTORED_URL": operator.url("restored"),
        "RESTORED_OBJECTS": "restored-objects",
    }
    operator.run(restore)

    assert operator.rows("restored") == before
    goes_on(operator, "restored", "restored-objects", exported)


@pytest.mark.slow
def test_rows_alone_are_not_restored(operator: Operator, exported: bytes) -> None:
    operator.run(shown("backup.md", "sh")[0])
    for database, flags in (("whole", "--single-transaction"), ("part", "--disable-triggers")):
        operator.postgres.execute(f"CREATE DATABASE {database}")
        url = operator.url(database)
        operator.run(f"RUNSTORE_DATABASE_URL={url} runstore migrate up")
        fresh = operator.rows(database)

        operator.run(f"pg_restore --data-only {flags} -d {url} runstore.dump", is_done=False)

        if database == "whole":
            assert operator.rows(database) == fresh
            continue
        for command in ("migrate check", "serve --port 0 --no-http"):
            said = operator.run(f"RUNSTORE_DATABASE_URL={url} runstore {command}", is_done=False)
            assert "a dump was restored in part" in said
            assert "docs/backup.md" in said


@pytest.mark.slow
def test_a_cluster_is_restored_to_a_moment(operator: Operator, exported: bytes) -> None:
    postgres = operator.postgres
    _, _, backup, _ = shown("backup.md", "sh")
    operator.run(backup)
    moment = postgres.execute("SELECT clock_timestamp()")
    before = operator.rows()
    server = operator.server("runstore", "objects")
    try:
        with runstore.Client(server.target, project="acme/search") as client:
            client.save_run(run_id="too late")
    finally:
        server.stop()
    postgres.execute("SELECT pg_switch_wal()")
    operator.run(f"until [ -n \"$(ls '{operator.folder}/wal')\" ]; do :; done")
    postgres.stop()

    settings = {
        name: value.strip("'").replace("/wal/", f"{operator.folder}/wal/")
        for name, _, value in (
            line.partition(" = ") for line in shown("backup.md", "ini")[1].splitlines()
        )
    } | {"recovery_target_time": moment}
    restored = postgres.restored_from(operator.folder / "base", settings)
    try:
        operator.postgres = restored.start()
        restored.execute("SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()")
        found = operator.rows()

        assert found == before
        operator.environment["RUNSTORE_DATABASE_URL"] = operator.url()
        goes_on(operator, "runstore", "objects.backup", exported)
    finally:
        restored.stop()


@pytest.mark.slow
def test_a_schema_goes_up_and_back_as_shown(operator: Operator) -> None:
    up, seal, down = shown("upgrade.md", "sh")
    operator.run("runstore migrate down 0019 --yes")

    said = operator.run(up)
    assert "as needed" in said
    assert "salt" in operator.run(seal)
    assert "0021" in operator.run(down)
    operator.run(up)

    server = operator.server("runstore", "objects")
    try:
        fill(server.target)
    finally:
        server.stop()
    for version, why in (("0021", "runs were deleted"), ("0019", "runs were deleted")):
        said = operator.run(f"runstore migrate down {version} --yes", is_done=False)
        assert why in said
        assert "Traceback" not in said
    assert "as needed" in operator.run("runstore migrate check")
    shutil.rmtree(operator.folder / "objects", ignore_errors=True)
