"""runstore migrate."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, TypeVar

import typer
from runstore_migrations import schema

from runstore_server.cli.failures import database_url, explained
from runstore_server.settings import Settings

app = typer.Typer(
    help="Bring the schema of RUNSTORE_DATABASE_URL up or down, and see where it stands.",
    no_args_is_help=True,
)
T = TypeVar("T")


@app.command()
def up(version: Annotated[str, typer.Argument(help="Version to go to.")] = "head") -> None:
    """Bring the schema up; safe to run from several places at once."""
    url, name = _database()
    before = _run(schema.current(url, name))
    _run(schema.upgrade(url, name, version))
    typer.echo(f"{before or 'none'} -> {_run(schema.current(url, name))}")


@app.command()
def down(
    version: Annotated[str, typer.Argument(help='Version to go back to; "base" removes all.')],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask: what the newer versions hold is lost.")
    ] = False,
) -> None:
    """Take the schema down to a version. What later versions added is dropped with its data."""
    url, name = _database()
    if not yes:
        typer.confirm(f"Drop what versions after {version} hold in schema {name}?", abort=True)
    before = _run(schema.current(url, name))
    _run(schema.downgrade(url, name, version))
    typer.echo(f"{before or 'none'} -> {_run(schema.current(url, name)) or 'none'}")


@app.command()
def current() -> None:
    """Print the schema's version."""
    typer.echo(_run(schema.current(*_database())) or "none")


@app.command()
def check() -> None:
    """Exit with 1 when the schema is not the one this release needs."""
    _run(schema.check(*_database()))
    typer.echo(f"{schema.head()} as needed")


def _database() -> tuple[str, str]:
    settings = Settings()
    return database_url(settings), settings.db_schema


def _run(work: Coroutine[object, object, T]) -> T:
    with explained():
        return asyncio.run(work)
