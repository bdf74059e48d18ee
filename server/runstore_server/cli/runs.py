"""runstore runs: list, show, follow, search and verify recorded runs."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import typer
from runstore import (
    ConfigFilter,
    Event,
    ExternalFilter,
    Run,
    RunOrder,
    RunQuery,
    SnapshotNotFound,
    Verification,
)

from runstore_server.cli import replays
from runstore_server.cli.connection import connected
from runstore_server.cli.exits import ExitCode
from runstore_server.cli.options import (
    AsJson,
    FromSeq,
    Labels,
    Limit,
    PlanId,
    Project,
    ReadArchive,
    RunId,
    Statuses,
    Tags,
    Target,
    Types,
    labels_of,
    status_of,
)
from runstore_server.cli.printing import print_json, progress_bar
from runstore_server.cli.tables.events import print_event
from runstore_server.cli.tables.runs import print_resume_point, print_run, print_runs
from runstore_server.cli.tables.search import print_hits
from runstore_server.json.events import event_value
from runstore_server.json.runs import (
    resume_point_value,
    run_summary_value,
    run_value,
    verification_value,
)
from runstore_server.json.search import hit_value
from runstore_server.validation.runs import RunOrderName

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]
_From = Annotated[
    datetime | None, typer.Option(metavar="TIME", formats=_FORMATS, help="At or after this time.")
]
_Before = Annotated[
    datetime | None, typer.Option(metavar="TIME", formats=_FORMATS, help="Before this time.")
]

app = typer.Typer(help="List, show, follow, search and verify runs.", no_args_is_help=True)


@app.command()
def ls(
    target: Target = None,
    project: Project = "default",
    status: Statuses = None,
    tag: Tags = None,
    any_tag: Annotated[
        list[str] | None, typer.Option(help="Only runs with one of these tags; repeatable.")
    ] = None,
    label: Labels = None,
    plan: PlanId = "",
    parent: Annotated[str, typer.Option(help="Only runs started by this run.")] = "",
    root: Annotated[str, typer.Option(help="Only this run and all below it.")] = "",
    external: Annotated[
        str, typer.Option(help="Only runs of another system: SYSTEM or SYSTEM:ID.", metavar="REF")
    ] = "",
    config: Annotated[
        str, typer.Option(help="Only runs pinned to KIND/NAME or KIND/NAME@VERSION.", metavar="REF")
    ] = "",
    model: Annotated[str, typer.Option(help="Only runs with an event of this model.")] = "",
    tool: Annotated[str, typer.Option(help="Only runs with an event of this tool.")] = "",
    objective: Annotated[
        str, typer.Option(help="Only runs with these words in the objective.")
    ] = "",
    created_from: _From = None,
    created_before: _Before = None,
    updated_from: _From = None,
    updated_before: _Before = None,
    completed_from: _From = None,
    completed_before: _Before = None,
    order: Annotated[
        RunOrderName, typer.Option(help="Orders by completion list only runs that have ended.")
    ] = "created_desc",
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first unless --order says otherwise."""
    query = RunQuery(
        statuses=[status_of(each) for each in status or ()],
        tags=tag or (),
        any_tags=any_tag or (),
        labels=labels_of(label),
        plan_id=plan,
        parent_run_id=parent,
        root_run_id=root,
        external=_external(external),
        config=_config(config),
        model=model,
        tool=tool,
        objective=objective,
        created_from=_utc(created_from),
        created_before=_utc(created_before),
        updated_from=_utc(updated_from),
        updated_before=_utc(updated_before),
        completed_from=_utc(completed_from),
        completed_before=_utc(completed_before),
        order=RunOrder[order.upper()],
    )
    with connected(target, project) as client:
        found = list(islice(client.list_runs(query), limit))
    if as_json:
        for info in found:
            print_json(run_summary_value(info))
    else:
        print_runs(found)


@app.command()
def show(
    run_id: RunId, target: Target = None, project: Project = "default", as_json: AsJson = False
) -> None:
    """Show a run: its objective, status, usage and output."""
    with connected(target, project) as client:
        run = client.run(run_id)
        info = run.get()
        output = run.output() if info.completed_at else None
    if as_json:
        print_json(run_value(info, output))
    else:
        print_run(info, output)


@app.command()
def events(
    run_id: RunId,
    target: Target = None,
    project: Project = "default",
    from_seq: FromSeq = 1,
    type_: Types = None,
    read_archive: ReadArchive = False,
    as_json: AsJson = False,
) -> None:
    """Print the events recorded so far."""
    with connected(target, project) as client:
        run = client.run(run_id)
        for event in run.events(from_seq, types=type_ or (), read_archive=read_archive):
            _print_event(event, as_json=as_json)


@app.command()
def tail(
    run_id: RunId,
    target: Target = None,
    project: Project = "default",
    from_seq: FromSeq = 1,
    type_: Types = None,
    wait: Annotated[bool, typer.Option(help="Wait for the run if it is not saved yet.")] = False,
    read_archive: ReadArchive = False,
    as_json: AsJson = False,
) -> None:
    """Print events as they come, until the run is complete. Continues across server restarts."""
    with connected(target, project) as client:
        run = client.run(run_id)
        for event in run.events(
            from_seq,
            follow=True,
            types=type_ or (),
            wait_for_run=wait,
            read_archive=read_archive,
        ):
            _print_event(event, as_json=as_json)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help='Words; "a phrase", a OR b, -word to exclude.')],
    target: Target = None,
    project: Project = "default",
    run_id: Annotated[
        list[str] | None, typer.Option("--run", help="Only events of this run; repeatable.")
    ] = None,
    type_: Types = None,
    tool: Annotated[str, typer.Option(help="Only events of this tool.")] = "",
    model: Annotated[str, typer.Option(help="Only events of this model.")] = "",
    newest: Annotated[bool, typer.Option(help="Newest first instead of best match first.")] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Find events by the words in their messages and tool outputs."""
    with connected(target, project) as client:
        found = client.search(
            query,
            run_ids=run_id or (),
            types=type_ or (),
            tool=tool,
            model=model,
            newest_first=newest,
        )
        hits = list(islice(found, limit))
    if as_json:
        for hit in hits:
            print_json(hit_value(hit))
    else:
        print_hits(hits)


@app.command()
def verify(
    run_id: RunId,
    target: Target = None,
    project: Project = "default",
    read_archive: ReadArchive = False,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash chain; exit with 1 if it is broken."""
    with connected(target, project) as client:
        run = client.run(run_id)
        found = _verify_with_bar(run, read_archive=read_archive)
    if as_json:
        print_json({"run_id": run_id, **verification_value(found)})
    elif found.verified:
        typer.echo(f"{found.checked_events} events agree with their hashes; the last is")
        typer.echo(found.last_hash.hex())
        if found.erased_events:
            typer.echo(f"{found.erased_events} of them were erased")
    else:
        typer.secho(f"broken at seq {found.problem_seq}: {found.problem}", fg=typer.colors.RED)
    if not found.verified:
        raise typer.Exit(ExitCode.UNTRUE)


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
    if as_json:
        print_json(resume_point_value(info, snapshot))
    else:
        print_resume_point(info, snapshot)


def _print_event(event: Event, *, as_json: bool) -> None:
    if as_json:
        print_json(event_value(event))
    else:
        print_event(event)


def _verify_with_bar(run: Run, *, read_archive: bool) -> Verification:
    total = run.get().last_seq
    with progress_bar("verifying") as on_progress:
        return run.verify(
            lambda found: on_progress(found.checked_events, total), read_archive=read_archive
        )


def _external(ref: str) -> ExternalFilter | None:
    system, _, id_ = ref.partition(":")
    return ExternalFilter(system, id_) if ref else None


def _config(ref: str) -> ConfigFilter | None:
    if not ref:
        return None
    pinned, _, version = ref.partition("@")
    kind, slash, name = pinned.partition("/")
    if not (slash and name and (version or "0").isdecimal()):
        raise typer.BadParameter(f"{ref!r} is not KIND/NAME or KIND/NAME@VERSION")
    return ConfigFilter(kind, name, int(version or 0))


def _utc(at: datetime | None) -> datetime | None:
    """The time, which is UTC if it has no offset."""
    return at.replace(tzinfo=UTC) if at and at.tzinfo is None else at


for command in (replays.replay, replays.diff, replays.fork):
    app.command()(command)
