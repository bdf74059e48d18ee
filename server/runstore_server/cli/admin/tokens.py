"""runstore admin tokens: tokens made, listed and ended by a server, for callers whom it knows."""

from __future__ import annotations

from typing import Annotated

import typer
from runstore import TokenNotFound

from runstore_server.cli.admin.options import OfServer, check_owner
from runstore_server.cli.connection import connected
from runstore_server.cli.failures import failed
from runstore_server.cli.new_tokens import (
    DEFAULT_LIFETIME,
    Grants,
    Lifetime,
    Made,
    Name,
    Output,
    lifetime_of,
    show_made,
)
from runstore_server.cli.options import AsJson, Project, Target
from runstore_server.cli.printing import print_json
from runstore_server.cli.tables.tokens import print_tokens
from runstore_server.json.tokens import token_value

app = typer.Typer(
    help="Make, list and end tokens, by the server.\n\n"
    "That takes a token of an admin of the project, or of an operator. An admin gives no more than"
    " it holds. Whoever has the database's URL instead uses runstore tokens.",
    no_args_is_help=True,
)


@app.command()
def create(
    context: typer.Context,
    name: Name,
    grants: Grants,
    target: Target = None,
    project: Project = "default",
    of_server: OfServer = False,
    lifetime: Lifetime = DEFAULT_LIFETIME,
    output: Output = None,
) -> None:
    """Make a token, and print its text, which is shown this once.

    Only the text is on standard output, so that it can be captured. For instance:

      runstore admin tokens create --name board --grant reader@a --project a
    """
    check_owner(context, of_server=of_server)
    valid_for = lifetime_of(lifetime)

    def make() -> Made:
        with connected(target, project) as client:
            made = client.admin.create_token(name, grants, lifetime=valid_for, of_server=of_server)
        return Made(made.token.token_id, made.token.expires_at, made.secret)

    show_made(make, output)


@app.command()
def ls(
    context: typer.Context,
    target: Target = None,
    project: Project = "default",
    of_server: OfServer = False,
    as_json: AsJson = False,
) -> None:
    """List tokens, newest first, ended ones too; never their texts.

    For instance:

      runstore admin tokens ls --project acme/search
    """
    check_owner(context, of_server=of_server)
    with connected(target, project) as client:
        found = list(client.admin.tokens(of_server=of_server))
    if as_json:
        for token in found:
            print_json(token_value(token, "" if of_server else project))
    else:
        print_tokens(found)


@app.command()
def revoke(
    context: typer.Context,
    token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="The token's id, as in ls.")],
    target: Target = None,
    project: Project = "default",
    of_server: OfServer = False,
) -> None:
    """End a token for good: servers refuse it, and end its streams, within five seconds.

    For instance:

      runstore admin tokens revoke 0g4kqv2m8w1z --project acme/search
    """
    check_owner(context, of_server=of_server)
    whose = "the server" if of_server else f"project {project!r}"
    with connected(target, project) as client:
        try:
            token = client.admin.revoke_token(token_id, of_server=of_server)
        except TokenNotFound as error:
            said = f"{error} of {whose}; choose another owner with --project or --server"
            raise failed(said) from error
    typer.echo(f"{token.token_id} is revoked")
