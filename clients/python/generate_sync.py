"""Write the synchronous client from the asynchronous one; with --check only say if it is fresh.

Every aio*.py below runstore/ that `FILES` names becomes sync*.py beside it.
"""

import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "runstore"
FILES = {
    "aio.py": "sync.py",
    "aio_configs.py": "sync_configs.py",
    "aio_artifacts.py": "sync_artifacts.py",
    "aio_feed.py": "sync_feed.py",
    "langgraph/aio_threads.py": "langgraph/sync_threads.py",
    "langgraph/aio_listing.py": "langgraph/sync_listing.py",
    "langgraph/aio_upkeep.py": "langgraph/sync_upkeep.py",
}
WORDS = (
    ('"""The asynchronous client."""', '"""The synchronous client. Generated from aio.py."""'),
    ("Safe to share between tasks of one event loop.", "Safe to share between threads."),
    ('"""The feed, asynchronously."""', '"""The feed. Generated from aio_feed.py."""'),
    ('"""Configs, asynchronously."""', '"""Configs. Generated from aio_configs.py."""'),
    ('"""Artifacts, asynchronously."""', '"""Artifacts. Generated from aio_artifacts.py."""'),
    ("A saver's threads, asynchronously.", "A saver's threads. Generated from aio_threads.py."),
    ("Listing checkpoints, asynchronously.", "Listing checkpoints. Generated from aio_listing.py."),
    (
        "Deleting, pruning and copying threads, asynchronously.",
        "Deleting, pruning and copying threads. Generated from aio_upkeep.py.",
    ),
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
    ("AsyncFeed", "Feed"),
    ("AsyncConfigs", "Configs"),
    ("AsyncArtifacts", "Artifacts"),
    ("AsyncThreads", "Threads"),
    ("AsyncListings", "Listings"),
    ("AsyncUpkeep", "Upkeep"),
    ("runstore.aio", "runstore.sync"),
    ("langgraph.aio_", "langgraph.sync_"),
    ("aio_transport", "sync_transport"),
    ("asyncio.sleep", "time.sleep"),
    ("import asyncio\n", ""),
    ("  # noqa: ASYNC109 - passed on to gRPC", ""),
)


def main(arguments: list[str]) -> str | None:
    """None when all is well, otherwise what to say."""
    made = {PACKAGE / name: _synchronous(source) for source, name in FILES.items()}
    if arguments == ["--check"]:
        stale = [path.name for path, text in made.items() if path.read_text() != text]
        return f"stale, run make stubs: {', '.join(stale)}" if stale else None
    for path, text in made.items():
        path.write_text(text)
    return None


def _synchronous(source: str) -> str:
    text, target = (PACKAGE / source).read_text(), PACKAGE / FILES[source]
    for word, plain in WORDS:
        text = text.replace(word, plain)
    return _ruff(_ruff(text, target, "check", "--fix-only"), target, "format")


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
