"""Programs of the distribution that stand between clients, servers and databases."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

# Packages put daemons where only root looks.
FOLDERS = "/usr/sbin:/usr/bin:/sbin:/bin"
START_SECONDS = 180


def installed(name: str) -> str:
    """The program's path. Without it the test is skipped; `TEST_REQUIRE_FIELD` makes it fail."""
    found = shutil.which(name) or shutil.which(name, path=FOLDERS)
    if found:
        return found
    missing = f"{name} is not installed: run tests/tools/install-field-programs"
    if os.environ.get("TEST_REQUIRE_FIELD"):
        pytest.fail(missing)
    pytest.skip(missing)


def started(
    command: Sequence[str], log: Path, port: int, *, user: int | None = None
) -> subprocess.Popen[bytes]:
    """The process of a command that listens on the port; its output goes to the log."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, user=user)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
