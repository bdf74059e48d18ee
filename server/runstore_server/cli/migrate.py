"""runstore migrate."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, TypeVar

import typer
from runstore_migrations import schema
from runstore_storage.database import service_rights
from runstore_storage.database.rights import MissingRights

from runstore_server.cli.environment import database_url, owner_url, settings_of
from runstore_server.cli.exits import ExitCode
from runstore_server.cli.failures import failed
from runstore_server.cli.server_failures import exit_on_failure

app = typer.Typer(
    help="Migrate the schema up or down, seal what is hashed, and give servers' role its"
    " rights.\n\n"
    "The database is that of RUNSTORE_DATABASE_OWNER_URL, or else of RUNSTORE_DATABASE_URL.",
    no_args_is_help=True,
)
MAX_ROOM = 10_000_000
T = TypeVar("T")


@app.command()
def up(
    version: Annotated[str, typer.Argument(help="Version to migrate to.")] = "head",
    room: Annotated[
        int,
        typer.Option(
            min=1,
            max=MAX_ROOM,
            help="Make partitions for this many more runs; servers whose role may not make them"
            " live on these.",
        ),
    ] = schema.ROOM,
    service_role: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            help="Then give this role, which servers have, what they need, and take what they do"
            " not; only with the newest version.",
        ),
    ] = None,
) -> None:
    """Migrate the schema up; safe to run in several places at once."""
    if service_role and version not in ("head", schema.head()):
        raise typer.BadParameter("--service-role takes no older VERSION")
    url, name = _database()
    before = _run(schema.current(url, name))
    _run(schema.upgrade(url, name, version, room=room))
    if service_role:
        _run(schema.give_rights(url, name, service_role))
    typer.echo(f"{before or 'none'} -> {_run(schema.current(url, name))}")


@app.command()
def down(
    version: Annotated[
        str, typer.Argument(help='Version to go back to; "base" removes everything.')
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask before dropping what later versions added.")
    ] = False,
) -> None:
    """Migrate the schema down to a version; what later versions added is dropped with its data."""
    url, name = _database()
    question = f"Drop what versions after {version} added to schema {name}, with its data?"
    if not (yes or typer.confirm(question)):
        raise failed("nothing is dropped")
    before = _run(schema.current(url, name))
    _run(schema.downgrade(url, name, version))
    typer.echo(f"{before or 'none'} -> {_run(schema.current(url, name)) or 'none'}")


@app.command()
def seal() -> None:
    """Have servers salt what they hash, so that contents can be forgotten one day.

    A new database has salts from the beginning. In an older one, run this once
    no server of an earlier release is left: those take salted hashes for broken
    ones. There is no way back.
    """
    url, name = _database()
    if _run(schema.seal(url, name)):
        typer.echo("servers salt what they hash, within half a minute")
    else:
        typer.echo("servers salt what they hash already")


@app.command()
def current() -> None:
    """Print the schema's version."""
    typer.echo(_run(schema.current(*_database())) or "none")


@app.command()
def grants(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="The role that servers have.")],
) -> None:
    """Print the SQL that gives servers' role its rights, for the owner of a schema that is up.

    It takes what they do not need, too. `runstore migrate up --service-role` does the same.
    """
    name = settings_of().db_schema
    for line in ("BEGIN", *service_rights.grants(name, role), "COMMIT"):
        typer.echo(f"{line};")


@app.command()
def check() -> None:
    """Exit with 1 unless this release can serve: the version, the role's rights, room for runs.

    The role is that of RUNSTORE_DATABASE_URL.
    """
    settings = settings_of()
    url, name = database_url(settings), settings.db_schema
    with exit_on_failure():
        try:
            asyncio.run(schema.check(url, name))
            asyncio.run(schema.check_room(url, name))
        except (
            schema.SchemaMismatch,
            schema.RestoredInPart,
            schema.RoomEnds,
            MissingRights,
        ) as error:
            raise failed(str(error), ExitCode.UNTRUE) from error
    typer.echo(f"{schema.head()}, as needed")


def _database() -> tuple[str, str]:
    settings = settings_of()
    return owner_url(settings), settings.db_schema


def _run(work: Coroutine[object, object, T]) -> T:
    with exit_on_failure():
        return asyncio.run(work)
