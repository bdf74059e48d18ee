"""Failures that end a command with a message instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from alembic.util import CommandError
from runstore_migrations import schema
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.database.failures import explained
from runstore_storage.database.rights import MissingRights
from runstore_storage.embedded.postgres import EmbeddedPostgresError
from runstore_storage.payloads.objects import UnusableObjectsUrl

from runstore_server.edge.listening import CannotBind

# Their messages are written for people.
_EXPLAINED = (
    schema.SchemaMismatch,
    schema.RoomEnds,
    MissingRights,
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
        raise failed(explained(error.__cause__)) from error


def failed(message: str) -> typer.Exit:
    """Print a message, and return the exit to raise."""
    typer.secho(message, err=True, fg=typer.colors.RED)
    return typer.Exit(1)
