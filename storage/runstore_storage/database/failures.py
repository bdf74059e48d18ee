"""What Postgres's failures mean."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError

from runstore_storage.contract.errors import StorageUnavailable
from runstore_storage.database.opening import ConnectionLost, UnusableDatabase

# Connection failures, shutdowns, time-outs, too many clients, a standby, a disk that fails, refused
# logins and rights: a later try may succeed.
_UNAVAILABLE_CLASSES = ("08", "57P", "53", "58", "28", "3D")
_MISSING_RIGHT = "42501"
_UNAVAILABLE_STATES = frozenset({"57014", "55P03", "25006", "25P03", "25P04", _MISSING_RIGHT})
# Poolers end a connection with it; of a connection that goes on, it says that we sent nonsense.
_PROTOCOL_VIOLATION = "08P01"
_ROLLED_BACK_STATES = frozenset({"40001", "40P01"})

_log = logging.getLogger(__name__)


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Raise `StorageUnavailable` for errors which say that Postgres is unavailable."""
    try:
        yield
    except Exception as error:
        if is_unavailable(error):
            raise unavailable(error) from error
        raise


def is_unavailable(error: BaseException) -> bool:
    """True when Postgres could not be reached or gave up, and a later try may succeed."""
    # The driver's own errors are not among them: they say that it was used in a wrong way.
    if isinstance(error, OSError | TimeoutError | ConnectionLost | UnusableDatabase):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = sqlstate(error)
    if state == _PROTOCOL_VIOLATION:
        return _severity(error) != "ERROR"
    return state in _UNAVAILABLE_STATES or state.startswith(_UNAVAILABLE_CLASSES)


def unavailable(error: BaseException) -> StorageUnavailable:
    """What the store raises for an error that `is_unavailable`; a missing right is logged."""
    if not is_missing_right(error):
        return StorageUnavailable()
    _log.error(explained(error))
    return StorageUnavailable("the database", "refuses the server a right, which its log names")


def is_missing_right(error: BaseException) -> bool:
    """True when the role that is connected may not do what was asked for."""
    return sqlstate(error) == _MISSING_RIGHT


def explained(error: BaseException | None) -> str:
    """Why the database cannot be used, in a sentence for the people who run it."""
    if isinstance(error, UnusableDatabase):
        return str(error)
    if error and is_missing_right(error):
        return (
            f"the role in the database lacks a right: {_cause(error)}; `runstore migrate check`"
            " names what servers lack, and docs/deploy.md has the rights of each role"
        )
    return f"the database does not answer: {_cause(error) if error else None}"


def is_rolled_back(error: BaseException) -> bool:
    """True when Postgres rolled the transaction back in favour of another; a retry may succeed."""
    return sqlstate(error) in _ROLLED_BACK_STATES


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a database error, empty for anything else."""
    return str(getattr(_cause(error), "sqlstate", None) or "")


def violated(error: asyncpg.IntegrityConstraintViolationError) -> str:
    """The name of the constraint that was violated."""
    return str(error.constraint_name or "")


def _severity(error: BaseException) -> str:
    return str(getattr(_cause(error), "severity_en", None) or "")


def _cause(error: BaseException) -> object:
    """The driver's error, where SQLAlchemy wrapped it twice."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error
