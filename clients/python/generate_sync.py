"""Write the synchronous client from the asynchronous one; with --check, only compare them.

Every module in an aio folder below runstore/ becomes the module of the same name in the sync folder
beside it. Those in `BY_HAND` have a twin written by hand, as the two differ in more than words.
"""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent / "runstore"
FOLDERS = ("aio", "langgraph/aio")
BY_HAND = {"aio/appender.py", "aio/gathering.py", "aio/transport.py"}
PATTERNS = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"Safe to share between tasks of one event loop\.", "Safe to share between threads."),
        (r"\b([Aa])n asynchronous\b", r"\1 synchronous"),
        (r"\basynchronous\b", "synchronous"),
        (r"\b(async|await) ", ""),
        (r"\bAsync(?=[A-Z])", ""),
        (r"__a(enter|exit)__", r"__\1__"),
        (r"\baclosing\b", "closing"),
        (r"\b(runstore|langgraph)\.aio\b", r"\1.sync"),
        (r"\bAwaitable\[Any\]", "Any"),
        (r"\bgrpc\.aio\.Channel\b", "grpc.Channel"),
        (r"\basyncio\.sleep\b", "time.sleep"),
        (r"import asyncio\n", ""),
        (r"  # noqa: ASYNC109 - passed on to gRPC", ""),
    )
)


def main(arguments: list[str]) -> str | None:
    """Return None on success, otherwise the message to exit with."""
    made = dict(map(_synchronous, _sources()))
    if arguments == ["--check"]:
        stale = [str(path) for path, text in made.items() if not _is(path, text)]
        return f"stale, run make stubs: {', '.join(stale)}" if stale else None
    for path, text in made.items():
        path.write_text(text)
    return None


def _sources() -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((PACKAGE / folder).glob("*.py"))]
    return [path for path in found if path.relative_to(PACKAGE).as_posix() not in BY_HAND]


def _synchronous(source: Path) -> tuple[Path, str]:
    text, target = source.read_text(), source.parents[1] / "sync" / source.name
    for pattern, plain in PATTERNS:
        text = pattern.sub(plain, text)
    text = f"# Generated from {source.relative_to(PACKAGE)}; see generate_sync.py.\n{text}"
    return target, _ruff(_ruff(text, target, "check", "--fix-only"), target, "format")


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


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
