"""The server that users start in their own tests, with pytest and without."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import runstore
from runstore import testing

USERS_CONFTEST = 'pytest_plugins = ["runstore.testing"]\n'
USERS_SETTINGS = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
USERS_TESTS = """
import pytest
import runstore

SEEN = set()


@pytest.mark.asyncio
async def test_asynchronously(runstore_client, runstore_server):
    run = await runstore_client.save_run("mine", run_id="same")
    await run.append("tool.called", {"query": 1})
    assert [event.seq async for event in run.events()] == [1]
    SEEN.add((runstore_server, runstore_client.project))


def test_synchronously_in_a_project_of_its_own(runstore_sync_client, runstore_server):
    assert list(runstore_sync_client.list_runs()) == []
    runstore_sync_client.save_run("mine too", run_id="same")
    SEEN.add((runstore_server, runstore_sync_client.project))


def test_one_server_and_two_projects():
    assert len({server for server, _ in SEEN}) == 1
    assert len({project for _, project in SEEN}) == 2
"""
STAND_ALONE = """
import sys

import runstore.testing

loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"pytest", "runstore_server", "runstore_storage", "sqlalchemy"}, loaded
with runstore.testing.server() as address:
    print(address, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_users_suite_runs_against_a_server_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(USERS_CONFTEST)
    (tmp_path / "pytest.ini").write_text(USERS_SETTINGS)
    (tmp_path / "test_mine.py").write_text(USERS_TESTS)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        # The test server must ignore these variables, and not listen or write where they say.
        env=os.environ | {"RUNSTORE_DATABASE_URL": "postgresql://nobody@nowhere/none"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_a_server_without_pytest_is_empty_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing.tempfile, "tempdir", str(tmp_path))
    tmp_path.chmod(0o711)

    with testing.server() as address, runstore.Client(address) as client:
        found = list(client.list_runs())

    assert found == []
    assert list(tmp_path.iterdir()) == []


def test_the_server_takes_settings() -> None:
    with (
        testing.server(max_request_bytes=2000) as address,
        runstore.Client(address) as client,
        pytest.raises(runstore.MessageTooLarge),
    ):
        client.save_run("x" * 3000)


def test_a_server_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(testing.ServerDidNotStart, match="RUNSTORE_WORKERS"),
        testing.server(workers=0),
    ):
        pass


@pytest.mark.slow
def test_a_killed_test_run_leaves_no_server_and_no_data_behind(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    owner = subprocess.Popen(
        [sys.executable, "-c", STAND_ALONE],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert owner.stdout
    assert owner.stdin
    assert owner.stdout.readline()
    started = psutil.Process(owner.pid).children(recursive=True)

    owner.send_signal(signal.SIGKILL)
    owner.wait()

    assert len(started) > 1, "a server and a Postgres"
    _, alive = psutil.wait_procs(started, timeout=60)
    owner.stdin.close()
    owner.stdout.close()
    assert not alive
    assert not list(tmp_path.glob("*/data"))
