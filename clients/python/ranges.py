"""Prove that the client works with the oldest and with the newest versions it allows.

    python clients/python/ranges.py

builds the wheel, installs it in two clean environments, and runs ranges_smoke.py in both against
one server. A warning there is an error.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from runstore import testing

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
# uv's names for the two ends of what pyproject.toml allows.
ENDS = ("lowest-direct", "highest")
PACKAGES = ("grpcio", "grpcio-status", "protobuf", "googleapis-common-protos")


def main() -> None:
    """Raise CalledProcessError where something fails; its output says what."""
    with tempfile.TemporaryDirectory(prefix="runstore-ranges-") as name, testing.server() as server:
        folder = Path(name)
        _run(
            "uv",
            "build",
            "--quiet",
            "--wheel",
            "--no-build-isolation",
            "--out-dir",
            name,
            str(ROOT),
        )
        (wheel,) = folder.glob("*.whl")
        for end in ENDS:
            environment = folder / end
            python = str(environment / "bin" / "python")
            _run("uv", "venv", "--quiet", "--python", sys.executable, str(environment))
            _run("uv", "pip", "install", "--quiet", "--python", python, "--resolution", end, wheel)
            _run(python, "-I", "-W", "error", str(FOLDER / "ranges_smoke.py"), server)
            _say(f"{end}: {_installed(python)}")


def _installed(python: str) -> str:
    listed = _run("uv", "pip", "freeze", "--python", python).splitlines()
    return " ".join(line for line in listed if line.partition("==")[0] in PACKAGES)


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=FOLDER)
    return done.stdout


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command line


if __name__ == "__main__":
    main()
