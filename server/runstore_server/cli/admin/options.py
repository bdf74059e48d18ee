"""The option of commands that are about a project or about the server itself."""

from __future__ import annotations

from typing import Annotated

import typer

OfServer = Annotated[
    bool, typer.Option("--server", help="The server's own, instead of those of a project.")
]


def given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line, rather than in the environment or nowhere."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def check_owner(context: typer.Context, *, of_server: bool) -> None:
    """Refuse a command that names both a project and the server."""
    if of_server and given(context, "project"):
        raise typer.BadParameter("give either --project or --server")
