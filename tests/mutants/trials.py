"""Trying mutants: each in a process of its own, forked from one that has imported what we use."""

from __future__ import annotations

import compileall
import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

import pytest

from tests.mutants.mutants import Mutant, Target

PACKAGES = ("clients/python", "migrations", "server", "storage")
OURS = ("runstore", "runstore_migrations", "runstore_server", "runstore_storage")
# Imported once, before the forks. None of them starts a thread.
IMPORTED = (
    "alembic.command",
    "asyncpg",
    "cryptography",
    "fastapi",
    "google.rpc.error_details_pb2",
    "grpc.aio",
    "grpc_health.v1.health",
    "grpc_reflection.v1alpha.reflection",
    "grpc_status.rpc_status",
    "httpx",
    "nats",
    "prometheus_client",
    "pydantic_settings",
    "sqlalchemy.ext.asyncio",
    "structlog",
    "typer",
    "uvicorn",
)
OPTIONS = ("-x", "-q", "-p", "no:cacheprovider", "--assert=plain", "-m", "not slow")
SLOWER = 3
"""How much longer a test of a mutant may take than the longest of the code as it is, before it
counts as failed, beside `MORE_SECONDS`."""
MORE_SECONDS = 15.0
_PASSED = 0
_TOO_LONG = -1


class Outcome(Enum):
    """What the tests made of a mutant."""

    NOTICED = "noticed"
    TOO_LONG = "too long"
    SURVIVED = "SURVIVED"


class Trials:
    """Runs tests on a copy of the code, in which one file is another for the time of a trial."""

    def __init__(self, root: Path, folder: Path, database_url: str) -> None:
        self._tree = folder / "tree"
        self._said = folder / "said"
        self._longest: dict[Target, float] = {}
        copy(root, self._tree)
        os.environ["TEST_DATABASE_URL"] = database_url
        os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # a changed file's would be taken for another's
        sys.dont_write_bytecode = True
        os.environ["PYTHONPATH"] = os.pathsep.join(self._roots)
        for name in IMPORTED:
            importlib.import_module(name)

    def tests_pass(self, target: Target) -> bool:
        """Run a target's tests on the code as it is, and take their time; say so if they fail."""
        began = time.monotonic()
        status, self._longest[target] = self._run(target, bound=300)
        if status != _PASSED:
            said = self._said.read_text()
            print(f"the tests of {target.name} fail on the code as it is:\n{said}", flush=True)
            return False
        print(f"{target.name}: its tests take {time.monotonic() - began:.1f} s", flush=True)
        return True

    def outcome(self, mutant: Mutant) -> Outcome:
        with changed(self._tree / mutant.place.file, mutant.code):
            status, _ = self._run(
                mutant.place.target,
                bound=self._longest[mutant.place.target] * SLOWER + MORE_SECONDS,
            )
        if status == _TOO_LONG:
            return Outcome.TOO_LONG
        return Outcome.SURVIVED if status == _PASSED else Outcome.NOTICED

    @property
    def _roots(self) -> list[str]:
        return [str(self._tree / package) for package in PACKAGES]

    def _run(self, target: Target, *, bound: float) -> tuple[int, float]:
        """Run the tests in a process; its exit status and the seconds that the longest test took.

        The status is `_TOO_LONG` once a test has taken `bound` seconds.
        """
        tests = [str(path) for glob in target.tests for path in sorted(self._tree.glob(glob))]
        self._said.write_bytes(b"")
        pid = os.fork()
        if pid == 0:
            self._test(tests)
        size, since, longest = 0, time.monotonic(), 0.0
        status = None
        try:
            while status is None and time.monotonic() < since + bound:
                time.sleep(0.02)
                done, code = os.waitpid(pid, os.WNOHANG)
                status = os.waitstatus_to_exitcode(code) if done else None
                now, said = time.monotonic(), self._said.stat().st_size
                longest = max(longest, now - since)
                if said > size:  # a test has ended
                    size, since = said, now
        finally:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # and the processes that its tests have left
        if status is None:
            os.waitpid(pid, 0)
        return _TOO_LONG if status is None else status, longest

    def _test(self, tests: Sequence[str]) -> None:
        """Run tests in this process, and end it."""
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.chdir(self._tree)
        said = os.open(self._said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        for name in list(sys.modules):
            if name.partition(".")[0] in OURS:
                del sys.modules[name]
        sys.path[:0] = self._roots
        status = 70
        try:
            status = int(pytest.main([*OPTIONS, *tests]))
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


@contextmanager
def changed(path: Path, code: str) -> Iterator[None]:
    """Have other text in a file, and no bytecode of it."""
    before = path.read_text()
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    path.write_text(code)
    try:
        yield
    finally:
        path.write_text(before)


def copy(root: Path, tree: Path) -> None:
    """Copy what git knows and what it would take, with bytecode."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=root, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (root / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, tree / name)
    for package in PACKAGES:
        compileall.compile_dir(tree / package, quiet=2)
