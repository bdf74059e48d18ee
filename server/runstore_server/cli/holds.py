"""runstore holds."""

from __future__ import annotations

from typing import Annotated

import typer
from runstore import HoldNotFound, RunNotFound, RunSelection

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
from runstore_server.cli.tables.holds import held_text, print_holds
from runstore_server.json.holds import hold_value

app = typer.Typer(
    help="Keep runs from being removed, by anybody, until a hold is released.\n\n"
    "That takes a token of an admin of the project.",
    no_args_is_help=True,
)
Reason = Annotated[
    str, typer.Option(help="Why, for people: a case number, for instance.", show_default=False)
]


@app.command()
def place(
    reason: Reason,
    run_id: Annotated[
        str | None, typer.Argument(metavar="RUN", help="The run to hold.", show_default=False)
    ] = None,
    statuses: Statuses = None,
    plan_id: PlanId = "",
    tags: Tags = None,
    labels: Labels = None,
    all_runs: AllRuns = False,
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Hold a run, or the runs that options select, whenever something of one is to be removed.

    For instance one run, and all runs of a customer:

      runstore holds place run-1 --reason "case 7" --project acme/search

      runstore holds place --label customer=12 --reason "case 7"
    """
    nothing = RunSelection([])
    where = selection_of(statuses, plan_id, tags, labels)
    chosen = [run_id is not None, where != nothing, all_runs]
    if sum(chosen) != 1:
        raise typer.BadParameter("give a RUN, or options that select runs, or --all")
    with connected(target, project) as client:
        try:
            hold = client.admin.place_hold(
                reason, run_id=run_id, filter=None if run_id is not None else where
            )
        except RunNotFound as error:
            raise failed(str(error)) from error
    if as_json:
        print_json(hold_value(hold))
    else:
        typer.echo(f"{hold.hold_id} holds {held_text(hold)}")


@app.command()
def release(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD", help="The hold's id, as in ls.")],
    target: Target = None,
    project: Project = "default",
) -> None:
    """End a hold for good.

    For instance:

      runstore holds release 01a2b3c4-0000-7000-8000-000000000000 --project acme/search
    """
    with connected(target, project) as client:
        try:
            hold = client.admin.release_hold(hold_id)
        except HoldNotFound as error:
            raise failed(f"{error} of project {project!r}") from error
    typer.echo(f"{hold.hold_id} is released")


@app.command()
def ls(
    run_id: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Only holds that hold this run.", show_default=False),
    ] = "",
    released: Annotated[bool, typer.Option("--released", help="Ended ones, too.")] = False,
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """List the holds of a project, or those that hold a run, newest first.

    For instance what keeps a run from being removed:

      runstore holds ls run-1 --project acme/search
    """
    with connected(target, project) as client:
        try:
            found = list(client.admin.holds(run_id, include_released=released))
        except RunNotFound as error:
            raise failed(str(error)) from error
    if as_json:
        for hold in found:
            print_json(hold_value(hold))
    else:
        print_holds(found)
