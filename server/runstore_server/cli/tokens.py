"""runstore tokens: tokens in the database itself, before any server or token is there."""

from __future__ import annotations

import os
from typing import Annotated
from uuid import uuid4

import typer
from google.protobuf.message import Message
from runstore.v1 import admin_pb2
from runstore.v1 import admin_service_pb2 as rpc
from runstore_storage.contract.access import SERVER, Principal, PrincipalKind, Role
from runstore_storage.contract.admin import Act, Token, TokenCursor
from runstore_storage.contract.errors import TokenNotFound
from runstore_storage.contract.scope import Scope, bind
from runstore_storage.postgres import PostgresStore

from runstore_server.cli.database import run_with_store
from runstore_server.cli.environment import settings_of
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
from runstore_server.cli.options import AsJson
from runstore_server.cli.printing import print_json
from runstore_server.cli.tables.tokens import print_tokens
from runstore_server.convert.admin import act_of, new_token_of
from runstore_server.edge.errors import InvalidRequest
from runstore_server.identity.tokens import new_token
from runstore_server.json.tokens import token_value
from runstore_server.validation.requests import validate

PAGE_TOKENS = 100

app = typer.Typer(
    help="Make, list and end tokens, in the database of RUNSTORE_DATABASE_URL.\n\n"
    "They are for servers with RUNSTORE_AUTH=required. Who has that URL needs no token; what is"
    " done is recorded.\n\n"
    "The first token of an operator, then one of an agent:\n\n"
    "  runstore tokens create --name ops --grant operator@*\n\n"
    "  runstore tokens create --name planner --grant writer@acme/* --lifetime 30d",
    no_args_is_help=True,
)

Owner = Annotated[
    str | None,
    typer.Option("--project", help="Whose token it is: a project, or the server without this."),
]


@app.command()
def create(
    name: Name,
    grants: Grants,
    project: Owner = None,
    lifetime: Lifetime = DEFAULT_LIFETIME,
    output: Output = None,
) -> None:
    """Make a token, and print its text, which is shown this once.

    Only the text is on standard output, so that it can be captured.
    """
    request = rpc.CreateTokenRequest(
        project=project or "", of_server=project is None, name=name, grants=map(_grant, grants)
    )
    request.lifetime.FromTimedelta(lifetime_of(lifetime))
    _check(request)
    show_made(lambda: _made(request), output)


@app.command()
def ls(project: Owner = None, as_json: AsJson = False) -> None:
    """List tokens, newest first, ended ones too; never their texts."""
    owner = SERVER if project is None else project
    bind(Scope(owner))
    found = run_with_store(settings_of(), lambda store: _all(store, owner))
    if as_json:
        for each in found:
            print_json(token_value(each, each.project))
    else:
        print_tokens(found)


@app.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="The token's id, as in ls.")],
) -> None:
    """End a token for good: servers refuse it, and end its streams, within five seconds."""
    token, is_repeat = run_with_store(settings_of(), lambda store: _revoke(store, token_id))
    typer.echo(f"{token.token_id} {'was' if is_repeat else 'is'} revoked")


def _made(request: rpc.CreateTokenRequest) -> Made:
    made = new_token()
    new = new_token_of(request, made.token_id, made.secret_hash)
    bind(Scope(new.project))  # who has the database's URL may touch what it names
    token, _ = run_with_store(
        settings_of(), lambda store: store.admin.create_token(new, _act(request))
    )
    return Made(token.token_id, token.expires_at, made.text)


async def _all(store: PostgresStore, owner: str) -> list[Token]:
    found: list[Token] = []
    after: TokenCursor | None = None
    while True:
        page = await store.admin.list_tokens(owner, limit=PAGE_TOKENS, after=after)
        found += page.items
        after = page.next_after
        if after is None:
            return found


async def _revoke(store: PostgresStore, token_id: str) -> tuple[Token, bool]:
    known = await store.admin.find_token(token_id)
    if known is None:
        raise failed(str(TokenNotFound(token_id)))
    owner = known.token.project
    bind(Scope(owner))
    request = rpc.RevokeTokenRequest(project=owner, of_server=owner == SERVER, token_id=token_id)
    return await store.admin.revoke_token(token_id, _act(request))


def _act(request: Message) -> Act:
    resource = f"tokens/{getattr(request, 'token_id', '')}"
    by = Principal(PrincipalKind.DATABASE, os.environ.get("USER", ""))
    return act_of(request, resource, by, call_id=str(uuid4()))


def _grant(given: str) -> admin_pb2.Grant:
    role, _, pattern = given.partition("@")
    try:
        of = admin_pb2.Role.ValueType(Role[role.upper()])
    except KeyError:
        roles = ", ".join(each.name.lower() for each in Role)
        raise typer.BadParameter(f"{given!r} is not ROLE@PROJECTS with one of {roles}") from None
    return admin_pb2.Grant(role=of, project_pattern=pattern)


def _check(request: Message) -> None:
    try:
        validate(request)
    except InvalidRequest as error:
        raise typer.BadParameter(str(error)) from None
