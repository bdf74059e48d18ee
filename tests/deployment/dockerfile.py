"""The Dockerfile as instructions, and its build stage carried out without Docker."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSTALLED = "/opt/runstore"


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and the instructions after it, in order."""

    image: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [rest for found, rest in self.instructions if found == word]

    def one(self, word: str) -> str:
        (rest,) = self.all(word)
        return rest

    def exec_form(self, word: str) -> list[str]:
        """The arguments; raises ValueError for the shell form, which would swallow SIGTERM."""
        return [str(argument) for argument in json.loads(self.one(word))]

    def environment(self) -> dict[str, str]:
        pairs = shlex.split(" ".join(self.all("ENV")))
        return dict(pair.split("=", 1) for pair in pairs)


def stages(dockerfile: Path = ROOT / "Dockerfile") -> list[Stage]:
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            found.append(Stage(image, name))
        else:
            found[-1].instructions.append((word, rest.strip()))
    return found


def build(stage: Stage, context: Path, folder: Path) -> Path:
    """Carry out the stage's COPY and RUN in `folder`; return what it installs.

    The image's Python is a new environment of this one; /opt/runstore is a folder of `folder`.
    """
    installed = folder / "runstore"
    work = folder / "src"
    work.mkdir()
    subprocess.run([sys.executable, "-m", "venv", folder / "python"], check=True)
    environment = {
        "HOME": str(folder),
        "PATH": f"{folder / 'python' / 'bin'}:/usr/bin:/bin",
        **{k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "UV_"))},
        **stage.environment(),
    }
    for word, rest in stage.instructions:
        if word == "COPY":
            _copy(rest, context, work)
        elif word == "RUN":
            command = rest.replace(INSTALLED, str(installed))
            subprocess.run(["/bin/sh", "-euc", command], cwd=work, env=environment, check=True)
    return installed


def _copy(arguments: str, context: Path, work: Path) -> None:
    *sources, target = arguments.split()
    for source in sources:
        if (context / source).is_dir():
            shutil.copytree(context / source, work / target)
        else:
            shutil.copy(context / source, work / target)
