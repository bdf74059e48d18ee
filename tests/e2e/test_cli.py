"""The command line, as a person and as a script uses it."""

import json
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest
import runstore
from e2e.servers import ServerProcess
from runstore_migrations import schema
from runstore_server.cli.exits import ExitCode
from runstore_server.cli.main import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
DATABASE_URL = "RUNSTORE_DATABASE_URL"


def cli(*arguments: str, environment: dict[str, str] | None = None, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "runstore_server", *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[ServerProcess]:
    made = ServerProcess(tmp_path / "dev.log", {}, "dev", "--data-dir", str(tmp_path / "data"))
    made.start()
    made.wait_until_serving()
    yield made
    made.stop()


def test_dev_greets_keeps_its_data_and_stops_cleanly(dev: ServerProcess, tmp_path: Path) -> None:
    with runstore.Client(dev.target) as client:
        client.save_run("remember me", run_id="run")

    assert dev.stop() == 0
    dev.start()
    dev.wait_until_serving()

    assert "remember me" in cli("runs", "show", "run", "--target", dev.target)
    greeting = (tmp_path / "dev.log").read_text()
    assert f"runstore serves {dev.target}" in greeting
    assert "grpcurl -plaintext" in greeting


def test_dev_that_is_killed_takes_its_postgres_along(dev: ServerProcess) -> None:
    assert dev.process
    children = psutil.Process(dev.process.pid).children()

    dev.kill()

    assert "postgres" in [child.name() for child in children]
    _, alive = psutil.wait_procs(children, timeout=60)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def test_a_second_dev_on_the_same_folder_is_refused_with_the_reason(
    dev: ServerProcess, tmp_path: Path
) -> None:
    said = cli("dev", "--data-dir", str(tmp_path / "data"), "--port", "0", code=4)

    assert str(tmp_path / "data") in said
    assert "Traceback" not in said


def test_a_port_in_use_is_named(dev: ServerProcess, tmp_path: Path) -> None:
    said = cli("dev", "--data-dir", str(tmp_path / "other"), "--port", str(dev.port), code=4)

    assert f"cannot listen on 127.0.0.1:{dev.port}" in said


def test_runs_are_shown_to_people_and_programs(server: ServerProcess, project: str) -> None:
    with runstore.Client(server.target, project=project) as client:
        run = client.save_run("find the answer", run_id="run", tags=["t"])
        run.append("tool.called", {"q": 1}, tool="search")
        run.snapshot(state={"x": 1}, nodes=[runstore.PlanNode("next")], pending_node_ids=["next"])
        run.complete(payload={"answer": 42})
    where = ("--target", server.target, "--project", project)

    listed = json.loads(cli("runs", "ls", "--json", "--status", "succeeded", *where))
    shown = json.loads(cli("runs", "show", "run", "--json", *where))
    events = [
        json.loads(line) for line in cli("runs", "events", "run", "--json", *where).splitlines()
    ]
    verdict = json.loads(cli("runs", "verify", "run", "--json", *where))
    point = json.loads(cli("runs", "resume-point", "run", "--json", *where))
    assert listed["run_id"] == "run"
    assert shown["output"]["payload"]["json"] == {"answer": 42}
    assert [event["type"] for event in events] == ["tool.called", "run.completed"]
    assert (verdict["verified"], verdict["checked_events"]) == (True, 2)
    assert point["snapshot"]["pending_node_ids"] == ["next"]
    assert "find the answer" in cli("runs", "ls", *where)
    assert "succeeded" in cli("runs", "show", "run", *where)
    assert "tool.called" in cli("runs", "tail", "run", *where)
    assert "2 events agree" in cli("runs", "verify", "run", *where)
    assert "next" in cli("runs", "resume-point", "run", *where)
    assert point["is_complete"] is True
    assert "the run is complete" in cli("runs", "resume-point", "run", *where)
    with runstore.Client(server.target, project=project) as client:
        client.save_run(run_id="open")
    assert json.loads(cli("runs", "resume-point", "open", "--json", *where))["is_complete"] is False
    assert "complete" not in cli("runs", "resume-point", "open", *where)


def test_version_prints_the_release() -> None:
    assert cli("--version") == f"runstore {version('runstore')}\n"


def test_an_unreachable_server_is_reported_in_one_line() -> None:
    said = cli("runs", "ls", "--target", "localhost:1", code=3)

    assert said == "no server answers at localhost:1; choose another with --target\n"


def test_events_are_found_and_the_index_is_rebuilt(
    server: ServerProcess, environment: dict[str, str], project: str
) -> None:
    with runstore.Client(server.target, project=project) as client:
        run = client.save_run(run_id="run")
        run.append("message", {"role": "user", "content": "find the [fox]"})
        assert list(client.search("fox", after=("run", 1)))
    where = ("--target", server.target, "--project", project)

    found = json.loads(cli("runs", "search", "fox", "--json", *where))
    assert (found["seq"], found["highlights"]) == (1, [{"start": 10, "length": 3}])
    assert "find the [fox]" in cli("runs", "search", "fox", *where)
    assert "nothing found" in cli("runs", "search", "whale", *where)
    assert "holds no word" in cli("runs", "search", "&", *where, code=4)
    assert "are searchable" in cli("search", "rebuild", environment=environment)
    assert json.loads(cli("runs", "search", "fox", "--json", *where)) == found


def test_runs_are_listed_and_counted_by_filters(server: ServerProcess, project: str) -> None:
    with runstore.Client(server.target, project=project, timeout=60) as client:
        ref = runstore.ExternalRef("jira", "X-1")
        run = client.save_run("find a fox", run_id="root", labels={"a": "b=c"}, external_ref=ref)
        client.save_run("other", run_id="below", parent_run_id="root", tags=["t"])
        run.append("tool.called", tool="look", model="[m]")
        assert list(client.statistics(after=("root", 1), wait_seconds=30))
    where = ("--target", server.target, "--project", project)

    def ls(*asked: str) -> list[str]:
        lines = cli("runs", "ls", "--json", *where, *asked).splitlines()
        return [json.loads(line)["run_id"] for line in lines]

    assert ls("--order", "created_asc") == ["root", "below"]
    assert ls("--root", "root", "--any-tag", "t") == ["below"]
    assert ls("--external", "jira:X-1", "--label", "a=b=c", "--objective", "fox") == ["root"]
    assert ls("--model", "[m]", "--tool", "look", "--created-from", "2020-01-01") == ["root"]
    assert ls("--updated-before", "2020-01-01T00:00:00+00:00") == []
    assert ls("--config", "prompt/p@1", "--plan", "none", "--order", "completed_asc") == []
    assert "is not KIND/NAME" in cli("runs", "ls", "--config", "x", *where, code=2)

    counted = ("statistics", "show", *where, "--by", "model", "--by", "run")
    row = json.loads(cli(*counted, "--by-label", "a", "--json"))
    assert (row["model"], row["run_id"], row["label_value"]) == ("[m]", "root", "b=c")
    assert (row["events"], row["tool_calls"], row["errors"]) == (1, 1, 0)
    assert "[m]" in cli(*counted, "--from-day", "2020-01-01", "--run", "root", "--descendants")
    assert "nothing counted" in cli(*counted, "--to-day", "2020-01-01")
    assert "is not one of" in cli("statistics", "show", "--by", "odd", code=2)


def test_an_unknown_run_or_status_is_reported_in_one_line(
    server: ServerProcess, project: str
) -> None:
    said = cli("runs", "show", "nobody", "--target", server.target, "--project", project, code=4)

    assert "RUN_NOT_FOUND" in said
    assert "Traceback" not in said
    assert "is not one of" in cli(
        "runs", "ls", "--status", "odd", "--target", server.target, code=2
    )


def test_a_name_that_no_project_may_have_is_refused_in_one_line(server: ServerProcess) -> None:
    said = cli("runs", "ls", "--project", "bad project", "--target", server.target, code=4)

    assert said == (
        "INVALID_REQUEST: project: must have 0..200 characters: letters, digits and ._-/:@+~,"
        ' a letter or digit first; has " "\n'
    )


def test_health_is_an_exit_code(server: ServerProcess) -> None:
    assert "SERVING" in cli("health", "--target", server.target)
    assert json.loads(cli("health", "--json", "--target", server.target))["status"] == "serving"
    assert "UNAVAILABLE" in cli("health", "--target", "127.0.0.1:1", code=3)


def test_serve_refuses_a_wrong_schema_with_the_command_that_migrates_it(
    environment: dict[str, str],
) -> None:
    nowhere = environment | {"RUNSTORE_DB_SCHEMA": "runstore_not_migrated"}

    assert "runstore migrate up" in cli("serve", "--port", "0", environment=nowhere, code=4)
    assert "runstore migrate up" in cli("migrate", "check", environment=nowhere, code=1)


@pytest.mark.parametrize("url", [None, ""], ids=["unset", "empty"])
@pytest.mark.parametrize(
    "command",
    [
        ("serve",),
        ("serve", "--workers", "2"),
        ("relay",),
        ("migrate", "up"),
        ("migrate", "check"),
        ("sinks", "ls"),
        ("search", "rebuild"),
        ("erasures", "clean-up"),
        ("statistics", "rebuild"),
    ],
    ids=" ".join,
)
def test_a_command_without_a_database_refuses_and_names_dev(
    command: tuple[str, ...], url: str | None, tmp_path: Path
) -> None:
    environment = {DATABASE_URL: url, "RUNSTORE_DATA_DIR": str(tmp_path / "data")}

    done = CliRunner().invoke(app, command, env=environment)

    assert done.exit_code == ExitCode.USAGE
    assert DATABASE_URL in done.stderr
    assert "`runstore dev`" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_a_schema_goes_up_and_down_by_command(environment: dict[str, str]) -> None:
    own = environment | {"RUNSTORE_DB_SCHEMA": f"runstore_cli_{os.getpid()}"}
    assert f"none -> {schema.head()}" in cli("migrate", "up", environment=own)
    assert schema.head() in cli("migrate", "current", environment=own)
    cli("migrate", "check", environment=own)
    assert "-> none" in cli("migrate", "down", "base", "--yes", environment=own)


def test_an_unreachable_database_is_reported_without_a_traceback() -> None:
    away = {"RUNSTORE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}

    said = cli("serve", "--port", "0", environment=away, code=3)

    assert "does not answer" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_workers_share_a_port_are_replaced_and_drain(
    environment: dict[str, str], project: str, tmp_path: Path
) -> None:
    server = ServerProcess(tmp_path / "workers.log", environment, "serve", "--workers", "2")
    server.start()
    server.wait_until_serving()
    with runstore.Client(server.target, project=project, timeout=120) as client:
        run = client.save_run()
        run.append("a")
        victim = _children(server)[0]
        victim.kill()
        run.append("b")
        assert [event.type for event in run.events()] == ["a", "b"]
        gone, _ = psutil.wait_procs([victim], timeout=60)
        assert gone
        while len(_children(server)) < 2:
            client.run(run.run_id).get()

    server.wait_until_serving()
    assert server.stop() == 0
    assert "worker died" in (tmp_path / "workers.log").read_text()


@pytest.mark.slow
def test_workers_end_with_their_killed_supervisor(
    environment: dict[str, str], tmp_path: Path
) -> None:
    server = ServerProcess(tmp_path / "workers.log", environment, "serve", "--workers", "2")
    server.start()
    server.wait_until_serving()
    workers = _children(server)

    server.kill()

    _, alive = psutil.wait_procs(workers, timeout=60)
    assert len(workers) == 2
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def _children(server: ServerProcess) -> list[psutil.Process]:
    assert server.process
    return [
        child
        for child in psutil.Process(server.process.pid).children()
        if child.status() != psutil.STATUS_ZOMBIE
    ]


def test_the_demonstration_runs_to_its_end() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clients.examples.survey"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "refused: WRITER_FENCED" in done.stdout
    assert "none done twice" in done.stdout


def test_configs_are_registered_labelled_and_shown(
    server: ServerProcess, project: str, tmp_path: Path
) -> None:
    with runstore.Client(server.target, project=project) as client:
        for text in ('{"say": "hi"}\n', '{"say": "hello"}\n'):
            client.configs.register("prompt", "greeting", runstore.Payload(text), labels=["live"])
    where = ("--target", server.target, "--project", project)
    file = tmp_path / "greeting.json"
    file.write_text(text)
    cli("configs", "label", "prompt", "greeting", "live", "1", "--actor", "ann", *where)

    known = json.loads(
        cli("configs", "register", "prompt", "greeting", str(file), "--json", *where)
    )
    shown = json.loads(
        cli("configs", "show", "prompt", "greeting", "--label", "live", "--json", *where)
    )
    moves = cli("configs", "history", "prompt", "greeting", "--json", *where).splitlines()
    listed = json.loads(cli("configs", "ls", "--json", *where))

    assert (known["version"], known["deduplicated"]) == (2, True)
    assert (shown["version"], shown["body"]["json"]) == (1, {"say": "hi"})
    assert b64decode(shown["body"]["json_base64"]) == b'{"say": "hi"}\n'
    assert (
        json.loads(moves[0]).items() >= {"from_version": 2, "to_version": 1, "actor": "ann"}.items()
    )
    assert listed["labels"] == {"live": 1}
    assert cli("configs", "show", "prompt", "greeting", "--body", *where) == file.read_text()
    assert "live" in cli("configs", "ls", *where)
    assert "hello" in cli("configs", "show", "prompt", "greeting", *where)
    assert "ann" in cli("configs", "history", "prompt", "greeting", *where)
    assert "nowhere" in cli("configs", "label", "prompt", "greeting", "live", "--remove", *where)


def test_errors_with_configs_are_reported_in_one_line(
    server: ServerProcess, project: str, tmp_path: Path
) -> None:
    where = ("--target", server.target, "--project", project)

    for arguments, said in (
        (("show", "prompt", "nobody"), "CONFIG_NOT_FOUND"),
        (("register", "prompt", "x", str(tmp_path / "none.json")), "cannot read"),
        (("label", "prompt", "x", "live"), "--remove"),
        (("show", "prompt", "x", "--version", "1", "--label", "live"), "by one of"),
    ):
        output = cli("configs", *arguments, *where, code=4 if said.isupper() else 2)
        assert said in output
        assert "Traceback" not in output


def test_artifacts_are_put_listed_and_fetched(dev: ServerProcess, tmp_path: Path) -> None:
    at = ("--target", dev.target)
    file, copy = tmp_path / "report.txt", tmp_path / "copy.txt"
    file.write_bytes(b"all is well" * 100_000)
    with runstore.Client(dev.target) as client:
        client.save_run(run_id="run")
        client.artifacts.link("run", "elsewhere", "https://example.org/x")

    said = cli("artifacts", "put", "run", "out/report", str(file), "--type", "report", *at)
    again = cli("artifacts", "put", "run", "out/report", str(file), *at)
    cli("artifacts", "get", "run", "out/report", "-o", str(copy), *at)
    lines = cli("artifacts", "ls", "run", "--json", *at).splitlines()

    assert said == "out/report version 1\n"
    assert "was stored already" in again
    assert copy.read_bytes() == file.read_bytes()
    assert sorted(tmp_path.glob("*.part")) == []
    assert [json.loads(line)["name"] for line in lines] == ["out/report", "elsewhere"]
    assert "out/report" in cli("artifacts", "ls", *at)
    assert "https://example.org/x" in cli("artifacts", "get", "run", "elsewhere", *at, code=4)
    assert "RUN_NOT_FOUND" in cli("artifacts", "put", "none", "a", str(file), *at, code=4)


def test_a_run_is_exported_and_its_archive_verified(
    server: ServerProcess, project: str, tmp_path: Path
) -> None:
    where = ("--target", server.target, "--project", project)
    with runstore.Client(server.target, project=project) as client:
        run = client.save_run("find the answer", run_id="run")
        run.append("tool.called", {"q": 1})
        run.complete(payload={"answer": 42})
    archive = tmp_path / "run.tar"

    said = cli("export", "run", "-o", str(archive), *where)
    verified = cli("verify-archive", str(archive))
    archive.write_bytes(archive.read_bytes().replace(b"sealed-000001", b"sealed-000002"))

    assert said == f"{archive}\n"
    assert verified.startswith(f"run 'run' of project '{project}': 2 events in 9 files;")
    assert "is not the beginning of a file" in cli("verify-archive", str(archive), code=1)
    assert "cannot read" in cli("verify-archive", str(tmp_path / "none"), code=4)
    assert "cannot write" in cli("export", "run", "-o", str(tmp_path / "a" / "b"), *where, code=4)
    assert "RUN_NOT_FOUND" in cli("export", "none", "-o", str(tmp_path / "none"), *where, code=4)
    assert sorted(tmp_path.glob("*.part")) == []


def test_what_events_said_is_erased(server: ServerProcess, project: str) -> None:
    where = ("--target", server.target, "--project", project)
    asked = ("erase", "--reason", "case 7", "--yes", *where)
    with runstore.Client(server.target, project=project) as client:
        run = client.save_run(run_id="run")
        run.append("said", {"name": "Ann"}, subjects=["ann"])

    blocked = cli(*asked, "--run", "run", "--seqs", "1-1", "--no-wait")
    held = json.loads(cli(*asked, "--subject", "ann", "--no-wait", "--json"))
    with runstore.Client(server.target, project=project) as client:
        client.run("run").complete()
    nobody = cli(*asked, "--subject", "nobody")

    assert "blocked: 0 events in 1 runs; run is open (erasure " in blocked
    assert held["state"] == "blocked"
    assert held["blockers"] == [{"run_id": "run", "hold_id": None, "archived": False}]
    assert "done: 0 events in 0 runs" in nobody
    assert held["erasure_id"] in cli("erasures", "get", held["erasure_id"], *where)
    assert "there is no erasure" in cli("erasures", "get", "none", *where, code=4)
    assert "RUN_NOT_FOUND" in cli(*asked, "--run", "none", "--seqs", "1", code=4)
    for wrong in ((), ("--run", "run"), ("--seqs", "1"), ("--subject", "a", "--run", "b")):
        assert "name a --subject, or a --run and its --seqs" in cli(*asked, *wrong, code=4)
    assert "is neither a seq" in cli(*asked, "--run", "run", "--seqs", "1-", code=4)


def test_erasures_are_cleaned_up_by_the_owner(environment: dict[str, str]) -> None:
    assert "removals are done" in cli("erasures", "clean-up", environment=environment)


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_help_shows_what_an_option_defaults_to(command: str) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "runstore_server", command, "--help"],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )

    assert "Else $RUNSTORE_PORT, else 7411." in asked.stdout
    assert "Else $RUNSTORE_HOST, else 127.0.0.1." in asked.stdout


@pytest.mark.parametrize("command", ["--help", "--version", "runs ls --help"])
def test_help_ends_quietly_once_its_reader_has_left(command: str) -> None:
    assert _read_by_none(*command.split()) == (ExitCode.READER_LEFT, "")


def test_every_command_ends_quietly_once_its_reader_has_left(
    server: ServerProcess, project: str
) -> None:
    where = ("--target", server.target, "--project", project)
    with runstore.Client(server.target, project=project) as client:
        run = client.save_run(run_id="run")
        run.append_many([runstore.NewEvent("tick", "x" * 5000)] * 40)
        client.artifacts.upload("run", "report", b"a line\n" * 20_000)
        run.complete()
    commands = [
        "runs ls",
        "runs events run --json",
        "runs tail run",
        "feed ls",
        "artifacts ls run",
        "artifacts get run report --output -",
        "export run --output -",
    ]

    ended = {command: _read_by_none(*command.split(), *where) for command in commands}
    line = (
        f"{sys.executable} -m runstore_server runs events run --json {' '.join(where)} | head -n1"
    )
    headed = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert ended == dict.fromkeys(commands, (ExitCode.READER_LEFT, ""))
    assert (headed.returncode, headed.stderr) == (ExitCode.READER_LEFT, "")
    assert json.loads(headed.stdout)["seq"] == 1


def _read_by_none(*arguments: str) -> tuple[int, str]:
    """How a command ends whose reader has left, and what it says of it."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "runstore_server", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=180,
        check=False,
    )
    os.close(writer)
    return done.returncode, done.stderr
