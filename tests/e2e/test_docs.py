"""The examples in README.md and docs/ work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import runstore
from e2e.documents import blocks, consoles, examples, is_text
from e2e.restarting import restarting_proxy
from e2e.servers import ServerProcess
from runstore.errors import MAY_PASS

ROOT = Path(__file__).parents[2]
CHANGING = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z|\b[0-9a-zA-Z]{4}(?=…)")
FOLLOWING = "text/event-stream"
EXAMPLE = """
import asyncio
from pathlib import Path

import runstore


async def example(client, run):
{shown}


async def main():
    async with runstore.connect("{target}", project="acme/search") as client:
        await example(client, await client.save_run("try it"))


asyncio.run(main())
"""
# A page in a browser stays; a Node that only waits for an EventSource to reconnect exits.
SHOW = """
const open = setInterval(() => {}, 1000);
const show = (event) => {
  console.log(event.seq, event.type);
  if (event.type === "run.completed") clearInterval(open);
};
"""
USERS_CODE = """
import runstore


class my_orchestrator:
    @staticmethod
    async def step(run):
        nodes = [runstore.PlanNode("search"), runstore.PlanNode("write")]
        await run.snapshot(nodes=nodes, pending_node_ids=["write"])


def my_command(_, target, __, project):
    with runstore.Client(target, project=project) as client:
        client.save_run("mine", run_id="run-1")


"""


def test_the_verifier_is_run_as_shown(fresh_server: ServerProcess, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "export.md").read_text()
    with runstore.Client(fresh_server.target, project="acme/archives") as client:
        client.save_run(run_id="run-1").export(tmp_path / "run-1.tar")
    shutil.copy(ROOT / "clients/python/runstore/verify_archive.py", tmp_path)

    (shown,) = re.findall(r"^python .*$", page, re.MULTILINE)
    done = _run("bash", "-c", shown, server=fresh_server, folder=tmp_path)
    (go,) = re.findall(r"^go run (\S+) run-1.tar$", page, re.MULTILINE)

    assert done.returncode == 0, done.stdout
    assert "run 'run-1' of project 'acme/archives': 0 events" in done.stdout
    assert (ROOT / "clients/go" / go / "main.go").exists()


def test_http_answers_what_is_shown(fresh_server: ServerProcess) -> None:
    shown = consoles(ROOT / "docs" / "http.md")
    with runstore.Client(fresh_server.target) as client:
        _save(client, "run-0")
        run = _save(client, "run-1")
        run.append("tick", {"a": 1})
        run.snapshot(state={"x": 1}, nodes=[runstore.PlanNode("n")], pending_node_ids=["n"])

        wrong = [_wrong(fresh_server, *each) for each in shown if "status=running" in each[0]]
        wrong += [_follow(fresh_server, run, *each) for each in shown if FOLLOWING in each[0]]
        wrong += [
            _wrong(fresh_server, *each)
            for each in shown
            if "status=running" not in each[0] and FOLLOWING not in each[0]
        ]

    assert len(wrong) == len(shown) > 5
    assert not any(wrong), "\n\n".join(filter(None, wrong))


def test_the_commands_of_a_terminal_work(fresh_server: ServerProcess, tmp_path: Path) -> None:
    with runstore.Client(fresh_server.target, project="acme/search") as client:
        run = client.save_run("answer the question", run_id="run-1")
        run.append("tool.called", {"query": "postgres"}, tool="search")
        run.complete(runstore.Outcome.SUCCEEDED, {"answer": 42})
    with runstore.Client(fresh_server.target) as client:
        client.configs.register("prompt", "greeting", {"system": "Hi."}, labels=["production"])
    (tmp_path / "greeting.json").write_text('{"system": "Be kind."}')
    docs = ROOT / "docs"
    pages = [
        ROOT / "README.md",
        *(docs / f"{name}.md" for name in ("configs", "export", "search", "statistics")),
    ]

    commands = [
        line
        for page in pages
        for example in examples(page)
        for line in example.command.splitlines()
        if re.match(r"runstore (?!migrate|serve|feed tail|runs diff)", line)
    ]
    wrong = [said for line in commands if (said := _failed(line, fresh_server, tmp_path))]

    assert len(commands) > 9
    assert not wrong, "\n\n".join(wrong)


def test_the_commands_about_deletion_work(fresh_server: ServerProcess, tmp_path: Path) -> None:
    with runstore.Client(fresh_server.target, project="acme/deleted") as client:
        client.save_run(run_id="run-1").complete(runstore.Outcome.SUCCEEDED)
        (shown,) = (each.command for each in examples(ROOT / "docs" / "deletion.md"))
        lines = [f"{line} --project acme/deleted" for line in shown.splitlines()]

        wrong = [
            said
            for line in lines
            if (
                said := _failed(
                    line.replace("delete run-1", "delete run-1 --yes"), fresh_server, tmp_path
                )
            )
        ]

        assert not wrong, "\n\n".join(wrong)
        assert [each.state for each in client.admin.removals()] == [runstore.RemovalState.DONE]


def test_the_commands_about_retention_work(fresh_server: ServerProcess, tmp_path: Path) -> None:
    with runstore.Client(fresh_server.target, project="acme/kept") as client:
        client.save_run(run_id="run-1").complete(runstore.Outcome.SUCCEEDED)
        (shown,) = (each.command for each in examples(ROOT / "docs" / "retention.md"))
        lines = [f"{line} --project acme/kept" for line in shown.splitlines()]

        wrong = [
            said
            for line in lines
            if (said := _failed(line.replace(" put ", " put --yes "), fresh_server, tmp_path))
        ]

        assert not wrong, "\n\n".join(wrong)
        (policy,) = client.admin.policies()
        assert (policy.name, policy.keep_snapshots) == ("usual", timedelta(days=7))


def test_the_commands_about_erasure_work(fresh_server: ServerProcess, tmp_path: Path) -> None:
    with runstore.Client(fresh_server.target, project="acme/erased") as client:
        run = client.save_run(run_id="run-1")
        for number in range(6):
            run.append("said", {"number": number}, subjects=["bo" if number else "ann"])
        run.complete(runstore.Outcome.SUCCEEDED)
        shown, _ = (each.command for each in examples(ROOT / "docs" / "erasure.md"))
        lines = [f"{line} --project acme/erased" for line in shown.splitlines()]

        wrong = [said for line in lines if (said := _failed(line, fresh_server, tmp_path))]

        assert not wrong, "\n\n".join(wrong)
        erased = [event.seq for event in run.events() if event.erased_at]
        assert erased == [1, 2, 3, 5]
        removals = list(client.admin.removals("run-1"))
        assert [each.state for each in removals] == [runstore.RemovalState.DONE] * 2


def test_the_commands_about_archives_work(fresh_server: ServerProcess, tmp_path: Path) -> None:
    with runstore.Client(fresh_server.target, project="acme/archived") as client:
        run = client.save_run(run_id="run-1")
        run.append("tick")
        run.complete(runstore.Outcome.SUCCEEDED)
        (shown,) = (each.command for each in examples(ROOT / "docs" / "archive.md"))
        lines = [f"{line} --project acme/archived" for line in shown.splitlines()]

        for line in lines:
            assert not (said := _failed(line, fresh_server, tmp_path)), said
            archived = "restore" not in line
            with pytest.raises(runstore.EventsArchived) if archived else nullcontext():
                run.list_events()

        assert [each.method for each in client.admin.records()] == ["RestoreRun", "ArchiveRun"]


def test_the_commands_about_holds_work(fresh_server: ServerProcess, tmp_path: Path) -> None:
    with runstore.Client(fresh_server.target, project="acme/held") as client:
        client.save_run(run_id="run-1", labels={"customer": "12"})
        (shown,) = (each.command for each in examples(ROOT / "docs" / "holds.md"))
        *before, release = (f"{line} --project acme/held" for line in shown.splitlines())

        wrong = [said for line in before if (said := _failed(line, fresh_server, tmp_path))]
        placed = list(client.admin.holds("run-1"))
        for hold in placed:
            line = release.replace('"$HOLD"', hold.hold_id)
            wrong += [said for said in [_failed(line, fresh_server, tmp_path)] if said]

        assert not wrong, "\n\n".join(wrong)
        assert [hold.reason for hold in placed] == ["case 7"] * 2
        assert list(client.admin.holds("run-1")) == []


@pytest.mark.parametrize(
    "page", ["configs.md", "artifacts.md", "export.md", "search.md", "statistics.md"]
)
def test_the_python_of_a_page_works(page: str, fresh_server: ServerProcess, tmp_path: Path) -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    (tmp_path / "report.pdf").write_bytes(b"%PDF-")
    with runstore.Client(fresh_server.target, project="acme/search") as client:
        client.save_run("answer the question", run_id="run-1")
    example = EXAMPLE.format(shown=textwrap.indent(shown, "    "), target=fresh_server.target)
    (tmp_path / "example.py").write_text(example)

    done = _run(sys.executable, "example.py", server=fresh_server, folder=tmp_path)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", ["langgraph.md", "python.md"])
def test_the_python_of_a_page_prints_what_is_shown(
    page: str, fresh_server: ServerProcess, tmp_path: Path
) -> None:
    shown = [block for block in blocks(ROOT / "docs" / page) if block[0] in {"python", "text"}]
    code = "\n".join(text for language, text in shown if language == "python")
    code = code.replace("localhost:7411", fresh_server.target)
    (tmp_path / "example.py").write_text(code.replace("acme/search", f"test/{uuid4()}"))

    done = _run(sys.executable, "-W", "error", "example.py", server=fresh_server, folder=tmp_path)

    wanted = "".join(text for language, text in shown if language == "text")
    assert len(shown) > 9
    assert done.returncode == 0, done.stdout
    assert is_text(wanted, done.stdout), done.stdout


def test_the_page_of_python_has_every_error() -> None:
    page = (ROOT / "docs" / "python.md").read_text()

    raised = {kind.__name__ for kind in runstore.BY_REASON.values()}

    assert len(raised) > 30
    assert not {name for name in raised if f"`{name}`" not in page}


def test_the_page_of_other_languages_names_every_reason_that_is_retried() -> None:
    page = (ROOT / "docs" / "other-languages.md").read_text()
    (rule,) = re.findall(r"reasons ([A-Z_, and]+): retry", page)

    retried = {reason for reason, kind in runstore.BY_REASON.items() if issubclass(kind, MAY_PASS)}

    assert set(re.findall(r"[A-Z_]{4,}", rule)) == retried


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_page_in_a_browser_reads_a_run_to_its_end(fresh_server: ServerProcess) -> None:
    events = _completed_run(fresh_server)

    assert _followed_in_a_browser(fresh_server.http_target) == events


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_a_page_in_a_browser_goes_on_after_the_502_of_a_proxy(fresh_server: ServerProcess) -> None:
    events = _completed_run(fresh_server)

    with restarting_proxy(fresh_server.http_target) as (target, asked):
        followed = _followed_in_a_browser(target)

    assert followed == events
    assert [(each["from_seq"], each["last_event_id"]) for each in asked] == [
        ("1", None),
        ("1", None),
        ("1", "1"),
        ("2", None),
    ]


def _completed_run(server: ServerProcess) -> list[str]:
    with runstore.Client(server.target, project="acme/search") as client:
        run = client.save_run("answer the question", run_id="run-1")
        if not run.get().last_seq:
            run.append("tool.called")
            run.complete(runstore.Outcome.SUCCEEDED, {"answer": 42})
        return [f"{event.seq} {event.type}" for event in run.events()]


def _followed_in_a_browser(http_target: str) -> list[str]:
    """What the script of the page shows, one event a line."""
    (shown,) = (text for language, text in blocks(ROOT / "docs" / "http.md") if language == "js")
    page = SHOW + shown.replace('("/api', f'("{http_target}/api')
    done = subprocess.run(
        ["node", "--experimental-eventsource", "--no-warnings", "-e", page],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert not done.stderr
    return done.stdout.splitlines()


def test_statistics_are_read_by_the_curl_that_is_shown(fresh_server: ServerProcess) -> None:
    page = examples(ROOT / "docs" / "statistics.md")
    (line,) = (line for each in page for line in each.command.splitlines() if line[:4] == "curl")

    done = subprocess.run(
        ["bash", "-c", _here(fresh_server, line)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert "rows" in json.loads(done.stdout)


@pytest.mark.parametrize("page", ["testing", "langgraph", "python"])
def test_the_extra_that_is_installed_is_one_of_the_package(page: str) -> None:
    (shown,) = (each.command for each in examples(ROOT / "docs" / f"{page}.md"))
    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    installed = re.findall(
        r"^pip install '?/path/to/(\w+)(?:\[(\w+)\]')?(?: +#|$)", shown, re.MULTILINE
    )

    assert len(installed) == len(shown.splitlines())
    assert {name for name, _ in installed} == {package["name"]}
    assert {extra for _, extra in installed} <= {"", *package["optional-dependencies"]}


def test_the_measures_shown_can_be_asked_for() -> None:
    page, makefile = ROOT / "docs" / "performance.md", (ROOT / "Makefile").read_text()
    ((_, shown),) = (block for block in blocks(page) if block[0] == "sh")
    commands = re.findall(r"^make (\w+)(?: +BENCH=\"([^\"]+)\")?", shown, re.MULTILINE)

    assert len(commands) == len(shown.splitlines())
    for target, options in commands:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        module = ROOT / "bench" / ("soak.py" if target == "soak" else "__main__.py")
        for option in re.findall(r"--\w+", options):
            assert f'"{option}"' in module.read_text(), f"{target} has no {option}"


@pytest.mark.slow
def test_the_testing_examples_work(fresh_server: ServerProcess, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    plugins, tests, alone = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "conftest.py").write_text(plugins)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    (tmp_path / "test_mine.py").write_text(USERS_CODE + tests)
    (tmp_path / "alone.py").write_text(alone)

    tested = _run(sys.executable, "-m", "pytest", "-q", server=fresh_server, folder=tmp_path)
    ran = _run(sys.executable, "alone.py", server=fresh_server, folder=tmp_path)

    assert "2 passed" in tested.stdout, tested.stdout
    assert ran.returncode == 0, ran.stdout


def _save(client: runstore.Client, run_id: str) -> runstore.Run:
    return client.save_run(
        "answer the question", run_id=run_id, plan={"x": 1}, tags=["t"], labels={"team": "search"}
    )


def _failed(line: str, server: ServerProcess, folder: Path) -> str:
    done = _run("bash", "-c", line, server=server, folder=folder)
    return f"{line} exits with {done.returncode}\n{done.stdout}" if done.returncode else ""


def _run(*command: str, server: ServerProcess, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in the environment of a user of that server."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), "RUNSTORE_TARGET": server.target},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


def _wrong(server: ServerProcess, command: str, output: str) -> str:
    """What an HTTP command printed, if the page shows something else."""
    done = subprocess.run(
        ["bash", "-c", _here(server, command)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=180,
        check=False,
    )
    return _otherwise(command, output, done.stdout)


def _follow(server: ServerProcess, run: runstore.Run, command: str, output: str) -> str:
    """The same for a stream; the run is completed once the stream is live."""
    stream = subprocess.Popen(
        ["bash", "-c", "exec " + _here(server, command)], stdout=subprocess.PIPE, text=True
    )
    assert stream.stdout
    got = ""
    for line in stream.stdout:
        got += line
        if line == "event: caught_up\n":
            run.complete(runstore.Outcome.SUCCEEDED, {"answer": 42})
    stream.stdout.close()
    stream.wait(60)
    comments = re.compile(r"^: .*\n", re.MULTILINE)  # heartbeats depend on the time
    return _otherwise(command, comments.sub("", output), comments.sub("", got))


def _here(server: ServerProcess, command: str) -> str:
    return re.sub(r"(?<!/)localhost:7412", server.http_target, command)


def _otherwise(command: str, output: str, got: str) -> str:
    wanted = re.sub(r" *… *", "…", CHANGING.sub("…", output))
    return "" if is_text(wanted, got) else f"{command}\n{wanted}\nis\n{got}"
