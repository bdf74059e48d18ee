"""Write runstore/sync.py from runstore/aio.py; with --check only say whether it is fresh."""

import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "runstore"
WORDS = (
    ('"""The asynchronous client."""', '"""The synchronous client. Generated from aio.py."""'),
    ("Safe to share between tasks of one event loop.", "Safe to share between threads."),
    ("async with aclosing(", "with closing("),
    ("import aclosing", "import closing"),
    ("async def __aenter__", "def __enter__"),
    ("async def __aexit__", "def __exit__"),
    ("async ", ""),
    ("await ", ""),
    ("AsyncGenerator", "Generator"),
    ("AsyncIterator", "Iterator"),
    ("AsyncClient", "Client"),
    ("AsyncResumed", "Resumed"),
    ("AsyncRun", "Run"),
    ("aio_transport", "sync_transport"),
    ("asyncio.sleep", "time.sleep"),
    ("import asyncio\n", ""),
    ("  # noqa: ASYNC109 - passed on to gRPC", ""),
)


def main(arguments: list[str]) -> str | None:
    """None when all is well, otherwise what to say."""
    source = (PACKAGE / "aio.py").read_text()
    for word, plain in WORDS:
        source = source.replace(word, plain)
    target = PACKAGE / "sync.py"
    formatted = _ruff(_ruff(source, target, "check", "--fix-only"), target, "format")
    if arguments == ["--check"]:
        return None if target.read_text() == formatted else "sync.py is stale: run make stubs"
    target.write_text(formatted)
    return None


def _ruff(source: str, path: Path, *command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"],
        input=source,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
