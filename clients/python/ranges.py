"""Prove that the client works with the oldest and with the newest versions it allows.

    python clients/python/ranges.py

builds the wheel, installs it in two clean environments, and runs ranges_smoke.py in both against
one server; then the same with the extra langgraph and ranges_langgraph.py. Warnings are errors.
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from runstore import testing

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
# uv's names for the two ends of what pyproject.toml allows.
LOWEST = "lowest"
ENDS = (LOWEST, "highest")
PACKAGES = ("grpcio", "grpcio-status", "protobuf", "googleapis-common-protos")
SAVER = "langgraph-checkpoint"


def main() -> None:
    """Raise CalledProcessError if a step fails; the output of the step says why."""
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
            _say(f"{end}: {' '.join(_installed(python))}")
            if end == LOWEST and (above := _floors() - set(_installed(python))):
                raise SystemExit(f"cannot be installed: {', '.join(sorted(above))}")
            _run("uv", "pip", "install", "--quiet", "--python", python, *_with_saver(wheel, end))
            _run(python, "-I", "-W", "error", str(FOLDER / "ranges_langgraph.py"), server)
            _say(f"{end}: {' '.join(_installed(python, SAVER, *PACKAGES))}")


def _installed(python: str, *packages: str) -> list[str]:
    listed = _run("uv", "pip", "freeze", "--quiet", "--python", python).splitlines()
    return [line for line in listed if line.partition("==")[0] in (packages or PACKAGES)]


def _with_saver(wheel: Path, end: str) -> list[str]:
    """The wheel with its extra. Only the extra's own floor is pinned, not those of LangChain."""
    wanted = f"runstore[langgraph] @ {wheel.as_uri()}"
    return [wanted, *_floors("langgraph")] if end == LOWEST else [wanted]


def _floors(extra: str = "") -> set[str]:
    """The oldest versions that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {one.partition(",")[0].replace(">=", "==") for one in wanted}


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=FOLDER)
    return done.stdout


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command line


if __name__ == "__main__":
    main()
