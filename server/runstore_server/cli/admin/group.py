"""runstore admin: the group of the commands, and those about the caller itself."""

from __future__ import annotations

import typer

from runstore_server.cli.admin import limits, records, tokens
from runstore_server.cli.connection import connected
from runstore_server.cli.options import AsJson, Target
from runstore_server.cli.printing import print_json
from runstore_server.cli.tables.admin import print_caller, print_projects
from runstore_server.json.admin import caller_value

# These ask about the caller, whatever project it has in mind.
ANY_PROJECT = "default"

app = typer.Typer(
    help="Ask a server who may use it: look after tokens, limits and the records of acts.\n\n"
    "The caller's token is that of RUNSTORE_TOKEN or RUNSTORE_TOKEN_FILE. The first one of a"
    " server is made in its database, by runstore tokens create.\n\n"
    "What the token allows, and one for an agent:\n\n"
    "  runstore admin whoami\n\n"
    "  runstore admin tokens create --name planner --grant writer@a --project a",
    no_args_is_help=True,
)
app.add_typer(limits.app, name="limits")
app.add_typer(records.app, name="records")
app.add_typer(tokens.app, name="tokens")


@app.command()
def whoami(target: Target = None, as_json: AsJson = False) -> None:
    """Show who the server takes the caller for, and what it may do.

    For instance with the token of a file:

      RUNSTORE_TOKEN_FILE=ops.token runstore admin whoami
    """
    with connected(target, ANY_PROJECT) as client:
        found = client.admin.who_am_i()
    if as_json:
        print_json(caller_value(found))
    else:
        print_caller(found)


@app.command()
def projects(target: Target = None, as_json: AsJson = False) -> None:
    """List the projects that have runs or configs and that the caller has a grant for.

    For instance to list the runs of each:

      runstore admin projects | xargs -n 1 runstore runs ls --project
    """
    with connected(target, ANY_PROJECT) as client:
        found = list(client.admin.projects())
    if as_json:
        for project in found:
            print_json({"project": project})
    else:
        print_projects(found)
