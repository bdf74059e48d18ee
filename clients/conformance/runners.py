"""The clients under test: how their runners are built and started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GO = ROOT / "clients" / "go"
TYPESCRIPT = ROOT / "clients" / "typescript"


@dataclass(frozen=True, slots=True)
class Client:
    """A client under test: the programs it needs, how its runner is built and started."""

    name: str
    needs: tuple[str, ...]
    make: tuple[tuple[str, ...], ...]
    start: tuple[str, ...]
    folder: Path


CLIENTS = (
    Client("python", (), (), (sys.executable, str(HERE / "python_runner.py")), ROOT),
    Client(
        "go",
        ("go",),
        (("go", "build", "-o", ".bin/conformance", "./cmd/conformance"),),
        (str(GO / ".bin" / "conformance"),),
        GO,
    ),
    Client(
        "typescript",
        ("node", "npm"),
        (("npm", "run", "--silent", "conformance:build"),),
        ("node", str(TYPESCRIPT / ".conformance" / "conformance" / "runner.js")),
        TYPESCRIPT,
    ),
)


def present(client: Client) -> bool:
    """Whether its tools are installed; in CI they must be."""
    missing = [each for each in client.needs if not shutil.which(each)]
    if not missing:
        return True
    said = f"{client.name}: {' and '.join(missing)} not on the PATH"
    if os.environ.get("CI") == "true":
        sys.exit(f"{said}; CI checks every client")
    print(f"{said}: SKIPPED", file=sys.stderr)
    return False


def made(client: Client) -> Client:
    for command in client.make:
        subprocess.run(command, cwd=client.folder, check=True)
    return client
