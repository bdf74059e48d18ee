"""runstore runs: what a person or a script asks of recorded runs."""

from __future__ import annotations

import json
from itertools import islice
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from runstore import (
    Run,
    RunQuery,
    RunStatus,
    SnapshotNotFound,
    Verification,
)

from runstore_server.cli import shown
from runstore_server.cli.connected import AsJson, Project, Target, connected

app = typer.Typer(help="Look at recorded runs.", no_args_is_help=True)

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
FromSeq = Annotated[int, typer.Option(help="First seq to show.", min=0)]
Types = Annotated[list[str] | None, typer.Option("--type", help="Only this type; repeatable.")]


@app.command()
def ls(
    target: Target = None,
    project: Project = "default",
    status: Annotated[
        list[str] | None, typer.Option(help="Only this status, e.g. running; repeatable.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Only with this tag; repeatable.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    query = RunQuery(statuses=[_status(each) for each in status or ()], tags=tag or ())
    with connected(target, project) as client:
        found = list(islice(client.list_runs(query), limit))
    shown.runs(found, as_json=as_json)


@app.command()
def show(
    run_id: RunId, target: Target = None, project: Project = "default", as_json: AsJson = False
) -> None:
    """Show one run: what it was to do, where it stands, what it cost, its output."""
    with connected(target, project) as client:
        run = client.run(run_id)
        info = run.get()
        output = run.output() if info.completed_at else None
    shown.run(info, output, as_json=as_json)


@app.command()
def events(
    run_id: RunId,
    target: Target = None,
    project: Project = "default",
    from_seq: FromSeq = 1,
    type_: Types = None,
    as_json: AsJson = False,
) -> None:
    """Print the events there are."""
    with connected(target, project) as client:
        for event in client.run(run_id).events(from_seq, types=type_ or ()):
            shown.event(event, as_json=as_json)


@app.command()
def tail(
    run_id: RunId,
    target: Target = None,
    project: Project = "default",
    from_seq: FromSeq = 1,
    type_: Types = None,
    wait: Annotated[bool, typer.Option(help="Wait for a run that is not saved yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print events as they come, until the run is complete. Server restarts go unnoticed."""
    with connected(target, project) as client:
        run = client.run(run_id)
        for event in run.events(from_seq, follow=True, types=type_ or (), wait_for_run=wait):
            shown.event(event, as_json=as_json)


@app.command()
def verify(
    run_id: RunId, target: Target = None, project: Project = "default", as_json: AsJson = False
) -> None:
    """Recompute the hash chain; exit with 1 where it is broken."""
    with connected(target, project) as client:
        run = client.run(run_id)
        found = run.verify() if as_json else _verify_with_bar(run)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "run_id": run_id,
                    "verified": found.verified,
                    "checked_events": found.checked_events,
                    "last_seq": found.last_seq,
                    "last_hash": found.last_hash.hex(),
                    "problem": found.problem,
                    "problem_seq": found.problem_seq,
                }
            )
        )
    elif found.verified:
        typer.echo(f"{found.checked_events} events agree with their hashes; the last is")
        typer.echo(found.last_hash.hex())
    else:
        typer.secho(f"broken at seq {found.problem_seq}: {found.problem}", fg=typer.colors.RED)
    if not found.verified:
        raise typer.Exit(1)


@app.command("resume-point")
def resume_point(
    run_id: RunId,
    target: Target = None,
    project: Project = "default",
    namespace: Annotated[str, typer.Option(help="Namespace of the snapshot.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show where a resume would begin, without claiming the run."""
    with connected(target, project) as client:
        run = client.run(run_id)
        info = run.get()
        try:
            snapshot = run.get_snapshot(namespace=namespace)
        except SnapshotNotFound:
            snapshot = None
    shown.resume_point(info, snapshot, as_json=as_json)


def _verify_with_bar(run: Run) -> Verification:
    total = run.get().last_seq
    with Progress(
        "verifying", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True
    ) as progress:
        task = progress.add_task("verify", total=total)
        return run.verify(lambda found: progress.update(task, completed=found.checked_events))


def _status(name: str) -> RunStatus:
    try:
        return RunStatus[name.upper()]
    except KeyError:
        known = ", ".join(status.name.lower() for status in RunStatus)
        raise typer.BadParameter(f"{name!r} is none of {known}") from None
