"""runstore admin records: what was done about access, or refused, and whether that is whole."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from runstore_server.cli.admin.options import OfServer, check_owner, given
from runstore_server.cli.connection import connected
from runstore_server.cli.exits import ExitCode
from runstore_server.cli.options import AsJson, Limit, Project, Target
from runstore_server.cli.printing import print_json
from runstore_server.cli.tables.admin import print_records, print_verification
from runstore_server.json.admin import record_value, record_verification_value

app = typer.Typer()


@app.callback(invoke_without_command=True)
def records(
    context: typer.Context,
    target: Target = None,
    project: Project = "default",
    of_server: OfServer = False,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List what was done about tokens and limits, or refused, newest first.

    Or check that nobody has changed it. For instance:

      runstore admin records --project acme/search --limit 50

      runstore admin records verify --project acme/search
    """
    if context.invoked_subcommand:
        if any(given(context, name) for name in context.params):
            raise typer.BadParameter(f"give options after {context.invoked_subcommand}")
        return
    check_owner(context, of_server=of_server)
    with connected(target, project) as client:
        found = list(islice(client.admin.records(of_server=of_server), limit))
    if as_json:
        for record in found:
            print_json(record_value(record))
    else:
        print_records(found)


@app.command()
def verify(
    context: typer.Context,
    target: Target = None,
    project: Project = "default",
    of_server: OfServer = False,
    from_number: Annotated[
        int, typer.Option(help="The number of the first record to check.", min=1)
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Recompute the hash chain of the records; exit with 1 if it is broken.

    Keep the last hash elsewhere: it tells whether records were taken from the end. For instance:

      runstore admin records verify --server
    """
    check_owner(context, of_server=of_server)
    with connected(target, project) as client:
        found = client.admin.verify_records(from_number=from_number, of_server=of_server)
    if as_json:
        print_json(record_verification_value(found))
    else:
        print_verification(found)
    if not found.verified:
        raise typer.Exit(ExitCode.UNTRUE)
