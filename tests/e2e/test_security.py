"""docs/security.md: a server and its clients do over TLS what the page shows."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import runstore
from conftest import server_environment
from e2e.documents import examples
from e2e.servers import ServerProcess

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def test_a_server_with_a_certificate_is_used_as_shown(
    database_url: str, db_schema: str, tools: str, tmp_path: Path
) -> None:
    making, using = (example.command for example in examples(PAGE))
    made = _bash(making.replace("runstore serve", "env | grep ^RUNSTORE_TLS_"), tools, tmp_path)
    files = dict(line.split("=") for line in made.splitlines() if line.startswith("RUNSTORE_"))
    assert set(files) == {"RUNSTORE_TLS_CERT_FILE", "RUNSTORE_TLS_KEY_FILE"}
    server = ServerProcess(
        tmp_path / "server.log",
        server_environment(database_url, db_schema)
        | {name: str(tmp_path / path) for name, path in files.items()},
        credentials=runstore.Tls(ca=tmp_path / "ca.pem").credentials(),
    )
    server.start()
    try:
        server.wait_until_serving()
        for shown, own in (("7411", server.port), ("7412", server.http_port)):
            using = using.replace(f"localhost:{shown}", f"localhost:{own}")

        said = _bash(using, tools, tmp_path)
    finally:
        server.stop()

    assert f"grpcs://localhost:{server.port}: SERVING" in said
    assert '"status": "SERVING"' in said
    assert (
        f"runstore serves 127.0.0.1:{server.port} with TLS" in (tmp_path / "server.log").read_text()
    )


def _bash(script: str, path: str, folder: Path) -> str:
    """What a script says that ends well."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
