"""docs/security.md: a server and its clients do over TLS what the page shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import runstore
from conftest import server_environment
from e2e.documents import Example, examples, run
from e2e.servers import ServerProcess, serving

PAGE = Path(__file__).parents[2] / "docs" / "security.md"


def test_a_server_with_a_certificate_is_used_as_shown(
    database_url: str, db_schema: str, tools: str, tmp_path: Path
) -> None:
    making, using, *_ = examples(PAGE)
    told = making.command.replace("runstore serve", "env | grep ^RUNSTORE_TLS_")
    made = _said(replace(making, command=told), "", tools, tmp_path)
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
        asked = using.command.replace("localhost:7412", f"localhost:{server.http_port}")
        target = f"localhost:{server.port}"

        said = _said(replace(using, command=asked), target, tools, tmp_path)
    finally:
        server.stop()

    assert f"grpcs://localhost:{server.port}: SERVING" in said
    assert '"status": "SERVING"' in said
    assert (
        f"runstore serves 127.0.0.1:{server.port} with TLS" in (tmp_path / "server.log").read_text()
    )


def test_tokens_are_made_and_used_as_shown(
    database_url: str,
    db_schema: str,
    tools: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, _, making, using, giving, checking = examples(PAGE)
    environment = server_environment(database_url, db_schema)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("COLUMNS", raising=False)  # readline sets it; what a pipe gets is not cut
    told = making.command.replace("runstore serve", "env | grep ^RUNSTORE_AUTH=")

    made = _said(replace(making, command=told), "", tools, tmp_path)

    assert "writer@acme/*" in made
    assert "RUNSTORE_AUTH=required" in made
    with serving(tmp_path / "log", environment | {"RUNSTORE_AUTH": "required"}) as server:
        monkeypatch.setenv("RUNSTORE_TARGET", server.target)
        _said(using, server.target, tools, tmp_path)
        foreign = replace(using, command=using.command.replace("acme/search", "globex"))
        done = run(foreign, server.target, tools, tmp_path)
        assert "the caller is no reader in project 'globex'" in done.stderr
        unset = replace(using, command="runstore runs ls --project acme/search")
        assert "no credential" in run(unset, server.target, tools, tmp_path).stderr
        given = _said(giving, server.target, tools, tmp_path)
        assert "admin@acme/search" in given
        ended = (tmp_path / "board.token").read_text()[4:16]
        assert f"{ended} is revoked" in given
        checked = _said(checking, server.target, tools, tmp_path)
        assert f"RevokeToken tokens/{ended}" in checked
        assert "3 records agree with their hashes" in checked


def _said(example: Example, target: str, path: str, folder: Path) -> str:
    """What a command that ends well prints."""
    done = run(example, target, path, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
