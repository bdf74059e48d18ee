"""What the clients have to pass: files of scenarios, on a server behind this or that."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / "tests"), str(HERE)]

import runstore  # noqa: E402 - found by the path above
from certificates import Authority  # noqa: E402
from checking import cases, normalised, problems  # noqa: E402
from database import provided_database  # noqa: E402
from e2e.servers import ServerProcess  # noqa: E402
from field.proxies import HaProxy, Nginx  # noqa: E402
from lossy import FOLLOWED, ID_PATHS, WRITES, lossy_server  # noqa: E402
from runners import Client  # noqa: E402
from runstore_migrations import schema  # noqa: E402
from runstore_storage.database.opening import connect  # noqa: E402

PROXIES = {"nginx": Nginx, "haproxy": HaProxy}
SCENARIOS = HERE / "scenarios.json"
LOST_ANSWERS = HERE / "lost_answers.json"
BODY_LIMIT = HERE / "body_limit.json"
FOR_ANYBODY = "a server that asks nobody takes everybody for anybody"
TIME_LIMIT_SECONDS = 1800
Results = dict[str, list[dict[str, Any]]]
Problems = dict[str, list[str]]


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


@dataclass(frozen=True, slots=True)
class Suite:
    """The scenarios of a file, the server at some address, and where to keep what was found."""

    file: Path
    target: str
    control: str
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, client: Client) -> tuple[Problems, Results]:
        """Have a client execute the scenarios; return its problems, and its results as judged."""
        scenarios = checked(self.file)
        project = f"{self.file.stem}/{client.name}"
        raw = self.folder / f"{client.name}.{self.file.stem}.raw.json"
        command = [
            *client.start,
            *("--target", self.target, "--control", self.control),
            *("--project", project, "--scenarios", str(self.file), "--results", str(raw)),
        ]
        broken = ended(command, client.folder, self.environment)
        results: Results = {} if broken else json.loads(raw.read_text())
        return judged(scenarios, results, project, broken)


@dataclass(frozen=True, slots=True)
class LossySuite:
    """The same through a server that loses answers, which may find faults of its own."""

    suite: Suite

    def run(self, client: Client) -> tuple[Problems, Results]:
        """As `Suite.run`, with the faults among the problems of each scenario."""
        return asyncio.run(self._run(client))

    async def _run(self, client: Client) -> tuple[Problems, Results]:
        async with lossy_server(self.suite.target) as (target, lossy):
            found, results = await asyncio.to_thread(replace(self.suite, target=target).run, client)
            never = sorted((WRITES | FOLLOWED.keys()) - lossy.repeated)
            faults = [
                *lossy.faults,
                *(f"{name} was never repeated" for name in never),
                *(f"{path} was in no request" for path in sorted(ID_PATHS - lossy.ids)),
            ]
        return {name: [*each, *faults] for name, each in found.items()}, results


def ended(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Execute a runner; return why it failed as a whole, or an empty string."""
    known = os.environ | environment
    try:
        done = subprocess.run(
            command, cwd=folder, env=known, check=False, timeout=TIME_LIMIT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {TIME_LIMIT_SECONDS} seconds"
    return f"ended with {done.returncode}" if done.returncode else ""


def checked(file: Path) -> dict[str, Any]:
    """The scenarios of a file, which has the form that it must have."""
    scenarios: dict[str, Any] = json.loads(file.read_text())
    jsonschema.validate(scenarios, json.loads((HERE / "scenarios.schema.json").read_text()))
    return scenarios


class Secured:
    """How server and clients show each other who they are: files, and the token of the clients."""

    def __init__(self, folder: Path) -> None:
        servers, people = (Authority(folder, each) for each in ("servers", "people"))
        (cert, key), client = servers.issue("server"), people.issue("client")
        self.server = {
            "RUNSTORE_TLS_CERT_FILE": str(cert),
            "RUNSTORE_TLS_KEY_FILE": str(key),
            "RUNSTORE_TLS_CLIENT_CA_FILE": str(people.file),
            "RUNSTORE_AUTH": "required",
        }
        self.client = {
            "RUNSTORE_CA_FILE": str(servers.file),
            "RUNSTORE_CLIENT_CERT_FILE": str(client[0]),
            "RUNSTORE_CLIENT_KEY_FILE": str(client[1]),
        }
        self.credentials = runstore.Tls(servers.file, *client).credentials()

    def make_token(self, settings: Mapping[str, str]) -> None:
        """Make the clients a token in the database, which allows all that anybody may otherwise."""
        command = [sys.executable, "-m", "runstore_server", "tokens", "create"]
        grants = ["--grant", "admin@*", "--grant", "operator@*"]
        made = subprocess.run(
            [*command, "--name", "conformance", *grants],
            env=os.environ | settings,
            check=True,
            capture_output=True,
            text=True,
        )
        self.client["RUNSTORE_TOKEN"] = made.stdout.strip()


def knowing(file: Path, folder: Path) -> Path:
    """The scenarios of a file, as they are where the server knows its callers by their token."""
    scenarios = json.loads(file.read_text())
    kept = [each for each in scenarios["scenarios"] if each["name"] != FOR_ANYBODY]
    assert len(kept) == len(scenarios["scenarios"]) - 1, FOR_ANYBODY
    text = json.dumps(scenarios | {"scenarios": kept}).replace('"ANYBODY"', '"TOKEN"')
    written = folder / file.name
    written.write_text(text)
    return written


@contextmanager
def serving(folder: Path, secured: Secured | None) -> Iterator[ServerProcess]:
    """A server on a fresh schema, which logs to the folder."""
    with database() as settings:
        settings |= {
            "RUNSTORE_LOG_FORMAT": "json",
            "RUNSTORE_OBJECTS_URL": (folder / "objects").as_uri(),
            **(secured.server if secured else {}),
        }
        credentials = secured.credentials if secured else None
        if secured:
            secured.make_token(settings)
        server = ServerProcess(folder / "server.log", settings, credentials=credentials)
        server.start()
        try:
            server.wait_until_serving()
            yield server
        finally:
            server.stop()


@contextmanager
def suites(
    server: ServerProcess, folder: Path, through: str | None, secured: Secured | None
) -> Iterator[Sequence[Suite | LossySuite]]:
    """What the clients have to pass: directly, over TLS, or with a proxy before the server."""
    with controlled(server) as control, ExitStack() as stack:
        if secured:
            target = f"grpcs://localhost:{server.port}"
            file = knowing(SCENARIOS, folder)
            yield (Suite(file, target, control, folder, secured.client),)
            return

        def suite(file: Path, target: str) -> Suite:
            return Suite(file, target, control, folder)

        if through is None:
            direct = suite(LOST_ANSWERS, server.target)
            yield suite(SCENARIOS, server.target), LossySuite(direct)
            return
        proxy = PROXIES[through](folder / through)
        stack.callback(proxy.stop)
        proxy.start(server)
        found = [suite(SCENARIOS, proxy.target)]
        if isinstance(proxy, Nginx):
            limiting = Nginx(folder / "limiting")
            stack.callback(limiting.stop)
            limiting.start(server, is_configured=False)
            found.append(suite(BODY_LIMIT, limiting.target))
        yield found


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
