"""Every client passes its scenarios through nginx and over TLS too: clients/conformance.

Through nginx as docs/proxies.md configures it, and, for what must pass even there, with its own
limits; over TLS with certificates of both sides.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from field.programs import installed

FOLDER = Path(__file__).parents[2] / "clients" / "conformance"
sys.path.insert(0, str(FOLDER))

from runners import CLIENTS, Client  # noqa: E402 - found by the path above

TIME_LIMIT_SECONDS = 2400


@pytest.mark.timeout(TIME_LIMIT_SECONDS + 60)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_does_through_nginx_what_it_does_without(client: Client) -> None:
    installed("nginx")
    _passes(client, "--through", "nginx")


@pytest.mark.timeout(TIME_LIMIT_SECONDS + 60)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_does_over_tls_what_it_does_without(client: Client) -> None:
    _passes(client, "--tls")


def _passes(client: Client, *how: str) -> None:
    missing = [each for each in client.needs if not shutil.which(each)]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"{' and '.join(missing)} not on the PATH")

    done = subprocess.run(
        [sys.executable, FOLDER / "run.py", "--client", client.name, *how],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIME_LIMIT_SECONDS,
    )

    assert done.returncode == 0, done.stdout + done.stderr
