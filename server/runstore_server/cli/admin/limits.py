"""runstore admin limits: what a project may use of one server process, and what it may store."""

from __future__ import annotations

from typing import Annotated

import typer

from runstore_server.cli.connection import connected
from runstore_server.cli.options import AsJson, Project, Target
from runstore_server.cli.printing import print_json
from runstore_server.cli.tables.admin import print_limits
from runstore_server.cli.tables.cells import time_cell
from runstore_server.json.admin import limits_value, project_limits_value

app = typer.Typer(
    help="Show and set the limits of a project, which are for operators.\n\n"
    "Every server process holds the project to them by itself, within five seconds; what it may "
    "store is for all processes together.",
    no_args_is_help=True,
)


@app.command()
def get(target: Target = None, project: Project = "default", as_json: AsJson = False) -> None:
    """Show the limits of a project, how much it stores, and when they were set.

    For instance:

      runstore admin limits get --project acme/search
    """
    with connected(target, project) as client:
        found = client.admin.limits()
    if as_json:
        print_json(project_limits_value(found))
    else:
        print_limits(found.limits)
        typer.echo(f"stores {found.stored_bytes_used:,} bytes")
        typer.echo(f"set {time_cell(found.updated_at)}" if found.updated_at else "never set")


@app.command("set")
def set_(
    calls_per_second: Annotated[
        int | None, typer.Option(help="Calls that may begin in a second.", min=0)
    ] = None,
    events_per_second: Annotated[
        int | None, typer.Option(help="Events that may be appended in a second.", min=0)
    ] = None,
    bytes_per_second: Annotated[
        int | None, typer.Option(help="Bytes of requests that may arrive in a second.", min=0)
    ] = None,
    streams: Annotated[
        int | None, typer.Option(help="Streams that may be open at a time.", min=0)
    ] = None,
    stored_bytes: Annotated[
        int | None, typer.Option(help="Bytes that may be stored, by all processes.", min=0)
    ] = None,
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Replace all limits of a project: one that is left out, or 0, is none from then on.

    For instance 200 calls a second and 50 streams, and no limit of events and bytes:

      runstore admin limits set --calls-per-second 200 --streams 50 --project a
    """
    wanted = (calls_per_second, events_per_second, bytes_per_second, streams, stored_bytes)
    if all(each is None for each in wanted):
        raise typer.BadParameter("give the limits that the project shall have; 0 is none")
    with connected(target, project) as client:
        limits = client.admin.set_limits(
            calls_per_second=calls_per_second or 0,
            events_per_second=events_per_second or 0,
            bytes_per_second=bytes_per_second or 0,
            streams=streams or 0,
            stored_bytes=stored_bytes or 0,
        )
    if as_json:
        print_json(limits_value(limits))
    else:
        print_limits(limits)
