"""runstore erase, and runstore erasures: what events said, removed for good."""

from __future__ import annotations

import re
import time
from typing import Annotated

import typer
from runstore import (
    Client,
    Erasure,
    ErasureBlocker,
    ErasureNotFound,
    ErasureState,
    RunNotFound,
    SeqRange,
)

from runstore_server.cli.connection import connected
from runstore_server.cli.database import run_with_store
from runstore_server.cli.environment import owner_url, settings_of
from runstore_server.cli.failures import failed
from runstore_server.cli.options import ActReason, AsJson, Project, Target
from runstore_server.cli.printing import print_json
from runstore_server.json.erasures import erasure_value

POLL_SECONDS = 0.2
_SEQS = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")

app = typer.Typer(help="Look at what was erased, and clean up after it.", no_args_is_help=True)


def erase(
    reason: ActReason,
    subject: Annotated[
        str,
        typer.Option(help="Erase every event that names this subject.", show_default=False),
    ] = "",
    run_id: Annotated[
        str, typer.Option("--run", help="Erase events of this run.", show_default=False)
    ] = "",
    seqs: Annotated[
        list[str] | None,
        typer.Option(help="Which: a seq, or the first and the last, as in 3-7.", metavar="A-B"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it is erased.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until nothing of it is stored.")] = True,
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Erase what events said, of a run or about a subject; their chain holds.

    Payloads, actors, tags and subjects go, and the rest stays. It waits for runs
    that are open or held. It takes a token of an admin of the project.

    For instance:

      runstore erase --subject user-7 --reason "case 7" --project acme/search

      runstore erase --run run-1 --seqs 3-7 --reason "case 8"
    """
    of = [_range(each) for each in seqs or ()]
    if bool(subject) == bool(run_id) or bool(run_id) != bool(of):
        raise failed("name a --subject, or a --run and its --seqs")
    with connected(target, project) as client:
        what = f"what names {subject}" if subject else f"{len(of)} ranges of run {run_id}"
        if not (yes or typer.confirm(f"Erase {what} in project {project}, for good?", err=True)):
            raise failed("nothing is erased")
        try:
            erasure = (
                client.admin.erase_subject(subject, reason)
                if subject
                else client.admin.erase_events(run_id, of, reason)
            )
        except RunNotFound as error:
            raise failed(str(error)) from error
        if wait:
            erasure = _gone(client, erasure)
    _print(erasure, as_json=as_json)


@app.command()
def get(
    erasure_id: Annotated[str, typer.Argument(metavar="ERASURE", show_default=False)],
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Show how far an erasure has come, and what it waits for.

    For instance:

      runstore erasures get 01900000-0000-7000-8000-000000000000 --project acme/search
    """
    with connected(target, project) as client:
        try:
            erasure = client.admin.get_erasure(erasure_id)
        except ErasureNotFound as error:
            raise failed(str(error)) from error
    _print(erasure, as_json=as_json)


@app.command("clean-up")
def clean_up() -> None:
    """Have Postgres clean up after what was erased, where servers may not.

    It is for the owner of the tables: RUNSTORE_DATABASE_OWNER_URL where that is set. Servers with a
    role of their own erase, and leave this to it.
    """
    done = run_with_store(settings_of(), lambda store: store.erasures.clean_up(), url_of=owner_url)
    if done is None:
        raise failed("only the owner of the tables may clean up: RUNSTORE_DATABASE_OWNER_URL")
    typer.echo(f"{done} removals are done")


def _range(text: str) -> SeqRange:
    found = _SEQS.fullmatch(text)
    if not found:
        raise failed(f"{text!r} is neither a seq nor two with a dash between")
    first = int(found[1])
    return SeqRange(first, int(found[2]) if found[2] else first)


def _gone(client: Client, erasure: Erasure) -> Erasure:
    """The erasure once it is done; what it waits for is told each time that it changes."""
    told = ""
    while erasure.state is not ErasureState.DONE:
        if (state := _state(erasure)) != told:
            typer.echo(state, err=True)
            told = state
        time.sleep(POLL_SECONDS)
        erasure = client.admin.get_erasure(erasure.erasure_id)
    return erasure


def _state(erasure: Erasure) -> str:
    waits = [f"{each.run_id} is {_why(each)}" for each in erasure.blockers]
    counts = f"{erasure.erased_events} events in {erasure.runs} runs"
    return f"{erasure.state}: {counts}" + "".join(f"; {each}" for each in waits)


def _why(blocker: ErasureBlocker) -> str:
    if blocker.hold_id:
        return f"held by {blocker.hold_id}"
    return "archived" if blocker.archived else "open"


def _print(erasure: Erasure, *, as_json: bool) -> None:
    if as_json:
        print_json(erasure_value(erasure))
    else:
        typer.echo(f"{_state(erasure)} (erasure {erasure.erasure_id}, record {erasure.record})")
