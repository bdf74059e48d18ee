"""Failures that end a command with a message instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from alembic.util import CommandError
from runstore_migrations import schema
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.database.opening import UnusableDatabase
from runstore_storage.embedded.postgres import EmbeddedPostgresError
from runstore_storage.payloads.objects import UnusableObjectsUrl

from runstore_server.edge.listening import CannotBind

# Their messages are written for people.
_EXPLAINED = (
    schema.SchemaMismatch,
    CommandError,
    EmbeddedPostgresError,
    CannotBind,
    UnusableObjectsUrl,
)


@contextmanager
def exit_on_failure() -> Iterator[None]:
    """Print why a command cannot do its work, and exit with 1."""
    try:
        yield
    except _EXPLAINED as error:
        raise failed(str(error)) from error
    except StorageUnavailable as error:
        if isinstance(error.__cause__, UnusableDatabase):
            raise failed(str(error.__cause__)) from error
        raise failed(f"the database does not answer: {error.__cause__}") from error


def failed(message: str) -> typer.Exit:
    """Print a message, and return the exit to raise."""
    typer.secho(message, err=True, fg=typer.colors.RED)
    return typer.Exit(1)
