"""A checkout installs into projects of one's own, as README says, in each language."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.documents import blocks
from field.programs import installed

ROOT = Path(__file__).parents[2]
INSTALLING_SECONDS = 900


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is tracked; nothing is built or installed in it."""
    folder = tmp_path_factory.mktemp("checkout") / "runstore"
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def shown(document: str, checkout: Path, program: str) -> str:
    """The lines of the document's installation that begin with the program, for the checkout."""
    (block,) = (
        text
        for language, text in blocks(ROOT / document)
        if language == "sh" and "/path/to/runstore" in text
    )
    lines = [line for line in block.splitlines() if line.startswith(f"{program} ")]
    assert lines
    return "\n".join(lines).replace("/path/to/runstore", str(checkout))


def ran(command: str, folder: Path, path: str = "") -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": os.pathsep.join(filter(None, [path, os.environ["PATH"]]))},
        capture_output=True,
        text=True,
        timeout=INSTALLING_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(INSTALLING_SECONDS)
def test_the_python_client_installs_from_a_checkout(checkout: Path, tmp_path: Path) -> None:
    ran(f"{sys.executable} -m venv environment", tmp_path)
    own = str(tmp_path / "environment" / "bin")

    ran(shown("README.md", checkout, "pip"), tmp_path, own)

    assert ran("python -c 'import runstore; print(runstore.Client.__name__)'", tmp_path, own)


@pytest.mark.timeout(INSTALLING_SECONDS)
@pytest.mark.parametrize("document", ["README.md", "clients/typescript/README.md"])
def test_the_typescript_client_installs_from_a_checkout(
    document: str, checkout: Path, tmp_path: Path
) -> None:
    installed("npm")
    ran("npm init --yes", tmp_path)

    ran(shown(document, checkout, "npm"), tmp_path)

    used = "import('@runstore/client').then(({ connect }) => console.log(typeof connect))"
    assert ran(f'node --eval "{used}"', tmp_path) == "function\n"


@pytest.mark.timeout(INSTALLING_SECONDS)
def test_the_packed_typescript_client_is_whole(checkout: Path, tmp_path: Path) -> None:
    installed("npm")

    packed = ran(
        f"npm pack --silent --pack-destination {tmp_path}", checkout / "clients/typescript"
    )

    files = ran(f"tar --list --file {tmp_path / packed.splitlines()[-1]}", tmp_path).splitlines()
    assert {"package/LICENSE", "package/README.md", "package/dist/index.js"} <= set(files)
    assert "package/dist/index.d.ts" in files
    assert [each for each in files if re.match(r"package/(src|tests|conformance)/", each)] == []


@pytest.mark.timeout(INSTALLING_SECONDS)
@pytest.mark.parametrize("document", ["README.md", "clients/go/README.md"])
def test_the_go_client_installs_from_a_checkout(
    document: str, checkout: Path, tmp_path: Path
) -> None:
    installed("go")
    ran("go mod init example.org/mine", tmp_path)
    (example,) = (
        text for language, text in blocks(ROOT / "clients/go/README.md") if language == "go"
    )

    ran(shown(document, checkout, "go"), tmp_path)

    (tmp_path / "main.go").write_text(example)
    ran("go build -o mine .", tmp_path)
    assert (tmp_path / "mine").exists()
