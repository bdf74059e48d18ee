"""runstore migrate."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, TypeVar

import typer
from runstore_migrations import schema
from runstore_storage.database.rights import MissingRights

from runstore_server.cli.environment import database_url, settings_of
from runstore_server.cli.exits import ExitCode
from runstore_server.cli.failures import failed
from runstore_server.cli.server_failures import exit_on_failure

app = typer.Typer(
    help="Migrate the schema of RUNSTORE_DATABASE_URL up or down, and show its version.",
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
) -> None:
    """Migrate the schema up; safe to run in several places at once."""
    url, name = _database()
    before = _run(schema.current(url, name))
    _run(schema.upgrade(url, name, version, room=room))
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
def current() -> None:
    """Print the schema's version."""
    typer.echo(_run(schema.current(*_database())) or "none")


@app.command()
def check() -> None:
    """Exit with 1 unless this release can serve: the version, the role's rights, room for runs."""
    url, name = _database()
    with exit_on_failure():
        try:
            asyncio.run(schema.check(url, name))
            asyncio.run(schema.check_room(url, name))
        except (schema.SchemaMismatch, schema.RoomEnds, MissingRights) as error:
            raise failed(str(error), ExitCode.UNTRUE) from error
    typer.echo(f"{schema.head()}, as needed")


def _database() -> tuple[str, str]:
    settings = settings_of()
    return database_url(settings), settings.db_schema


def _run(work: Coroutine[object, object, T]) -> T:
    with exit_on_failure():
        return asyncio.run(work)
