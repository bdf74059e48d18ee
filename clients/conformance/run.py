"""Prove that the clients in Python, Go and TypeScript behave the same: README.md.

python clients/conformance/run.py [--client NAME ...] [--results FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(HERE)]

from checking import cases, normalised, problems, written  # noqa: E402 - found by the path above
from database import provided_database  # noqa: E402
from e2e.servers import ServerProcess  # noqa: E402
from lossy import FOLLOWED, WRITES, lossy_server  # noqa: E402
from runstore_migrations import schema  # noqa: E402
from runstore_storage.database.opening import connect  # noqa: E402

SCENARIOS = HERE / "scenarios.json"
LOST_ANSWERS = HERE / "lost_answers.json"
GO = ROOT / "clients" / "go"
TYPESCRIPT = ROOT / "clients" / "typescript"
TIME_LIMIT_SECONDS = 300
Results = dict[str, list[dict[str, Any]]]
Problems = dict[str, list[str]]


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


@contextmanager
def database() -> Iterator[dict[str, str]]:
    """The settings of a server on a migrated schema, which is dropped afterwards."""
    name = f"runstore_conformance_{os.getpid()}"
    with provided_database() as url:
        asyncio.run(schema.upgrade(url, name))
        try:
            yield {"RUNSTORE_DATABASE_URL": url, "RUNSTORE_DB_SCHEMA": name}
        finally:
            asyncio.run(_drop(url, name))


async def _drop(url: str, name: str) -> None:
    conn = await connect(url, schema=name, name="conformance")
    await conn.execute(f"DROP SCHEMA {name} CASCADE")
    await conn.close()


@contextmanager
def controlled(server: ServerProcess) -> Iterator[str]:
    """The address by which runners restart the server: POST /restart?signal=SIGKILL."""

    class Control(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            [signal] = parse_qs(urlsplit(self.path).query)["signal"]
            stop: dict[str, Callable[[], object]] = {
                "SIGTERM": server.stop,
                "SIGKILL": server.kill,
            }
            stop[signal]()
            server.start()
            server.wait_until_serving()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing: only the table is printed."""

    control = ThreadingHTTPServer(("127.0.0.1", 0), Control)
    thread = threading.Thread(target=control.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{control.server_port}"
    finally:
        control.shutdown()
        thread.join()
        control.server_close()


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


@dataclass(frozen=True, slots=True)
class Suite:
    """The scenarios of a file, and where runners keep what they found."""

    file: Path
    server: ServerProcess
    control: str
    folder: Path

    @property
    def scenarios(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text())
        return found

    def run(self, client: Client, target: str = "") -> tuple[Problems, Results]:
        """Have a client execute the scenarios; return its problems, and its results as judged."""
        project = f"{self.file.stem}/{client.name}"
        raw = self.folder / f"{client.name}.{self.file.stem}.raw.json"
        command = [
            *client.start,
            *("--target", target or self.server.target, "--control", self.control),
            *("--project", project, "--scenarios", str(self.file), "--results", str(raw)),
        ]
        broken = ended(command, client.folder)
        results: Results = {} if broken else json.loads(raw.read_text())
        return judged(self.scenarios, results, project, broken)

    async def run_lossy(self, client: Client) -> tuple[Problems, Results]:
        """The same through a server that loses answers, which may find faults of its own."""
        async with lossy_server(self.server.target) as (target, lossy):
            found, results = await asyncio.to_thread(self.run, client, target)
            never = sorted((WRITES | FOLLOWED.keys()) - lossy.repeated)
            faults = [*lossy.faults, *(f"{name} was never repeated" for name in never)]
        return {name: [*each, *faults] for name, each in found.items()}, results


def ended(command: Sequence[str], folder: Path) -> str:
    """Execute a runner; return why it failed as a whole, or an empty string."""
    try:
        done = subprocess.run(command, cwd=folder, check=False, timeout=TIME_LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        return f"did not end within {TIME_LIMIT_SECONDS} seconds"
    return f"ended with {done.returncode}" if done.returncode else ""


def main(arguments: Sequence[str]) -> int:
    """Return 0 if every client passes every scenario with the same results."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [each.name for each in CLIENTS]
    parser.add_argument("--client", action="append", choices=names, help="only these clients")
    parser.add_argument("--results", type=Path, help="keep the results in this folder")
    given = parser.parse_args(arguments)
    files = [json.loads(each.read_text()) for each in (SCENARIOS, LOST_ANSWERS)]
    for file in files:
        jsonschema.validate(file, json.loads((HERE / "scenarios.schema.json").read_text()))
    clients = [each for each in CLIENTS if each.name in (given.client or names) and present(each)]
    with ExitStack() as stack:
        folder = given.results or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        for client in clients:
            made(client)
        settings = stack.enter_context(database())
        log = folder / "server.log"
        settings |= {
            "RUNSTORE_LOG_FORMAT": "json",
            "RUNSTORE_OBJECTS_URL": (folder.resolve() / "objects").as_uri(),
        }
        server = ServerProcess(log, settings)
        server.start()
        stack.callback(server.stop)
        server.wait_until_serving()
        control = stack.enter_context(controlled(server))
        plain = Suite(SCENARIOS, server, control, folder)
        lossy = Suite(LOST_ANSWERS, server, control, folder)
        found: dict[str, Problems] = {}
        texts: dict[str, Results] = {}
        for client in clients:
            for wrong, results in (plain.run(client), asyncio.run(lossy.run_lossy(client))):
                found[client.name] = found.get(client.name, {}) | wrong
                texts[client.name] = texts.get(client.name, {}) | results
            (folder / f"{client.name}.json").write_text(written(texts[client.name]))
    return report([name for file in files for name in cases(file)], found, texts)


def judged(
    file: dict[str, Any], results: Results, project: str, broken: str
) -> tuple[Problems, Results]:
    """The problems of each scenario, and the results made comparable."""
    found: Problems = {}
    comparable: Results = {}
    for number, (name, (scenario, payload)) in enumerate(cases(file).items()):
        own = f"{project}/{number}"
        seen = results.get(name, [])
        known = {"project": own, "payload": payload}
        found[name] = [f"the runner {broken}"] if broken else problems(scenario, seen, known)
        comparable[name] = normalised(seen, own)
    return found, comparable


def report(names: Sequence[str], found: dict[str, Problems], texts: dict[str, Results]) -> int:
    """Print the table and then the problems."""
    width = max(len(name) for name in names)
    print(f"{'scenario':{width}}  {'  '.join(f'{each:10}' for each in found)}  same")
    wrong = []
    for name in names:
        shown = {client: "FAILED" if each[name] else "ok" for client, each in found.items()}
        same = len({written({name: each[name]}) for each in texts.values()}) <= 1
        row = "  ".join(f"{each:10}" for each in shown.values())
        print(f"{name:{width}}  {row}  {'yes' if same else 'NO'}")
        wrong += [f"{name}: {who}: {what}" for who in found for what in found[who][name]]
        wrong += [] if same else [f"{name}: {line}" for line in unlike(name, texts)]
    for line in wrong:
        print(line)
    print(f"{len(names)} scenarios, {len(found)} clients, {len(wrong)} problems")
    return 1 if wrong or not found else 0


def unlike(name: str, texts: dict[str, Results]) -> Iterator[str]:
    """The first line in which the results of two clients differ."""
    (first, one), *others = texts.items()
    for other, two in others:
        lines = [written({name: each[name]}).splitlines() for each in (one, two)]
        for left, right in zip(*lines, strict=False):
            if left != right:
                yield f"{first} has {left.strip()[:200]}, {other} {right.strip()[:200]}"
                break
        else:
            if len(lines[0]) != len(lines[1]):
                yield f"{first} has more or fewer lines than {other}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
