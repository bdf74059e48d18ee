"""What a person is told instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from alembic.util import CommandError
from runstore_migrations import schema
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.embedded.postgres import EmbeddedPostgresError
from runstore_storage.payloads.objects import UnusableObjectsUrl

from runstore_server.edge.listening import CannotBind
from runstore_server.settings import Settings

# What says in its own words what is wrong.
_PLAIN = (
    schema.SchemaMismatch,
    CommandError,
    EmbeddedPostgresError,
    CannotBind,
    UnusableObjectsUrl,
)


@contextmanager
def explained() -> Iterator[None]:
    """Say what keeps a command from working, and exit with 1."""
    try:
        yield
    except _PLAIN as error:
        raise failed(str(error)) from error
    except StorageUnavailable as error:
        raise failed(f"the database does not answer: {error.__cause__}") from error


def failed(message: str) -> typer.Exit:
    """What to raise after saying what is wrong."""
    typer.secho(message, err=True, fg=typer.colors.RED)
    return typer.Exit(1)


def database_url(settings: Settings) -> str:
    """The database the settings name."""
    if settings.database_url is None:
        raise failed("set RUNSTORE_DATABASE_URL (`runstore dev` looks after its own database)")
    return settings.database_url
