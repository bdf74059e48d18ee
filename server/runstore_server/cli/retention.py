"""runstore retention."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer
from runstore import Policy, PolicyNotFound, RunSelection

from runstore_server.cli.connection import connected
from runstore_server.cli.failures import failed
from runstore_server.cli.options import (
    AllRuns,
    AsJson,
    Labels,
    PlanId,
    Project,
    Statuses,
    Tags,
    Target,
    selection_of,
)
from runstore_server.cli.printing import print_json
from runstore_server.cli.tables.retention import SPANS, print_policies, print_preview
from runstore_server.json.retention import policy_value, preview_value

_SPAN = re.compile(rf"(\d+)([{''.join(SPANS)}])")

app = typer.Typer(
    help="Say how long what is kept of runs that have ended.\n\n"
    "What no policy names is kept for ever; where several that select a run name the same, the"
    " longest time counts. It takes a token of an admin of the project.",
    no_args_is_help=True,
)
Reason = Annotated[str, typer.Option(help="Why, for people.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="POLICY", help="The policy's name.")]


def _span_of(text: str) -> timedelta:
    """A time such as 90d."""
    found = _SPAN.fullmatch(text)
    if not found:
        raise typer.BadParameter(f"{text!r} is not a time such as 90d: {' '.join(SPANS)}")
    try:
        return int(found[1]) * SPANS[found[2]]
    except OverflowError as error:
        raise typer.BadParameter(f"{text!r} is too long") from error


def _keep(what: str) -> object:
    return typer.Option(
        help=f"How long {what} after its end, such as 90d.",
        parser=_span_of,
        metavar="TIME",
        show_default=False,
    )


@app.command()
def put(
    name: Name,
    reason: Reason,
    keep_run: Annotated[timedelta | None, _keep("to keep a run, with all of it,")] = None,
    keep_events: Annotated[
        timedelta | None, _keep("to keep a run's events in the database, and not in an archive,")
    ] = None,
    keep_snapshots: Annotated[timedelta | None, _keep("to keep a run's snapshots")] = None,
    keep_last_snapshots: Annotated[
        int, typer.Option(help="The latest snapshots of each namespace that stay for ever.", min=0)
    ] = 0,
    keep_artifacts: Annotated[timedelta | None, _keep("to keep its artifacts")] = None,
    keep_search_text: Annotated[timedelta | None, _keep("Search finds its events")] = None,
    statuses: Statuses = None,
    plan_id: PlanId = "",
    tags: Tags = None,
    labels: Labels = None,
    all_runs: AllRuns = False,
    external: Annotated[
        bool,
        typer.Option(
            "--external",
            help="Also runs whose status an external engine owns; their time begins with each"
            " write anew.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, whatever would go.")] = False,
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Put a policy in place of the one of its name.

    It shows what would go by it now, and asks. Then it goes at the servers' next
    pass, within RUNSTORE_RETENTION_INTERVAL, an hour unless it is set.

    For instance all runs for 90 days, and their snapshots for a week:

      runstore retention put usual --all --keep-run 90d --keep-snapshots 7d
        --reason "terms of 2026"
    """
    where = selection_of(statuses, plan_id, tags, labels)
    if (where == RunSelection([])) is not all_runs:
        raise typer.BadParameter("give options that select runs, or --all")
    policy = Policy(
        name,
        keep_run,
        keep_events,
        keep_snapshots,
        keep_last_snapshots,
        keep_artifacts,
        keep_search_text,
        where,
        include_external=external,
    )
    with connected(target, project) as client:
        if not yes:
            print_preview(client.admin.preview_retention(policy))
            if not typer.confirm(f"Put policy {name} of project {project}?", err=True):
                raise failed("nothing is changed")
        kept = client.admin.put_policy(policy, reason)
    if as_json:
        print_json(policy_value(kept))
    else:
        typer.echo(f"policy {name} is put")


@app.command()
def rm(name: Name, reason: Reason, target: Target = None, project: Project = "default") -> None:
    """End a policy. What it alone let go is kept from now on.

    For instance:

      runstore retention rm all --reason "case 8" --project acme/search
    """
    with connected(target, project) as client:
        try:
            client.admin.delete_policy(name, reason)
        except PolicyNotFound as error:
            raise failed(f"{error} of project {project!r}") from error
    typer.echo(f"policy {name} is ended")


@app.command()
def ls(target: Target = None, project: Project = "default", as_json: AsJson = False) -> None:
    """List the policies of a project.

    For instance:

      runstore retention ls --project acme/search
    """
    with connected(target, project) as client:
        found = list(client.admin.policies())
    if as_json:
        for policy in found:
            print_json(policy_value(policy))
    else:
        print_policies(found)


@app.command()
def preview(target: Target = None, project: Project = "default", as_json: AsJson = False) -> None:
    """Show what the policies of a project would remove now, and what keeps the rest.

    For instance:

      runstore retention preview --project acme/search
    """
    with connected(target, project) as client:
        found = client.admin.preview_retention()
    if as_json:
        print_json(preview_value(found))
    else:
        print_preview(found)
