"""What can go wrong with a database, a port or an object store, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic.util import CommandError
from runstore_migrations import schema
from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.database.failures import explained, is_missing_right
from runstore_storage.database.opening import UnusableDatabase
from runstore_storage.database.rights import MissingRights, NoRole, OwnsAlready
from runstore_storage.embedded.postgres import EmbeddedPostgresError
from runstore_storage.payloads.objects import UnusableObjectsUrl

from runstore_server.cli.exits import ExitCode
from runstore_server.cli.failures import failed
from runstore_server.edge.identity import CannotKnowCallers
from runstore_server.edge.listening import CannotBind, Exposed, UnusableCertificate

# Their messages are written for people.
_EXPLAINED = (
    schema.SchemaMismatch,
    schema.RestoredInPart,
    schema.RoomEnds,
    schema.CannotGoDown,
    MissingRights,
    NoRole,
    OwnsAlready,
    CommandError,
    EmbeddedPostgresError,
    CannotBind,
    Exposed,
    UnusableCertificate,
    CannotKnowCallers,
    UnusableObjectsUrl,
)


@contextmanager
def exit_on_failure() -> Iterator[None]:
    """Print why a command cannot do its work, and exit."""
    try:
        yield
    except _EXPLAINED as error:
        raise failed(str(error)) from error
    except StorageUnavailable as error:
        cause = error.__cause__
        has_answered = isinstance(cause, UnusableDatabase) or (cause and is_missing_right(cause))
        code = ExitCode.FAILED if has_answered else ExitCode.UNANSWERED
        raise failed(explained(cause), code) from error
