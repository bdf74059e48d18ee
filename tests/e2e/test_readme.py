"""What the README shows works."""

import re
import subprocess
import sys
from pathlib import Path

from e2e.servers import ServerProcess

README = Path(__file__).parents[2] / "README.md"


def test_the_first_call_from_python_does_what_it_says(server: ServerProcess) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)

    done = subprocess.run(
        [sys.executable, "-c", example.replace("localhost:7411", server.target)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "left to do: ('write',)",
        "1 tool.called",
        "2 run.resumed",
        "3 run.completed",
    ]


def test_every_make_target_and_command_it_names_exists() -> None:
    text = README.read_text()
    makefile = (README.parent / "Makefile").read_text()

    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    commands = re.findall(
        r"^(?:\.venv/bin/)?runstore ((?:runs |migrate )?[a-z-]+)", text, re.MULTILINE
    )
    for command in sorted(set(commands)):
        asked = subprocess.run(
            [sys.executable, "-m", "runstore_server", *command.split(), "--help"],
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert asked.returncode == 0, command
