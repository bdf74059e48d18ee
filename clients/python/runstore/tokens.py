"""The token that calls carry: where it comes from, and where it may go."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import grpc

from runstore.arguments import InvalidArgument, not_of, text
from runstore.errors import RunstoreError
from runstore.files import Reread
from runstore.targets import is_loopback

VARIABLE = "RUNSTORE_TOKEN"
FILE_VARIABLE = "RUNSTORE_TOKEN_FILE"
INSECURE_VARIABLE = "RUNSTORE_ALLOW_INSECURE_TOKEN"
MAX_TOKEN_LENGTH = 8192

Metadata = Sequence[tuple[str, str]]

_AUTHORIZATION = "authorization"
_TOKEN = re.compile(r"[\x21-\x7e]+")
# The answers to a call by which another token may be told from the one that it carried.
_REFUSALS = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


class _Secret(str):
    """A str that tracebacks and logs do not show as the value of a variable."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"


def authorized(
    metadata: Metadata,
    target: str,
    *,
    token: str | None = None,
    token_file: str | os.PathLike[str] | None = None,
    insecure_token: bool = False,
    is_encrypted: bool,
) -> Reread[Metadata]:
    """What each call is sent with: the metadata, and the token as it is now if there is one.

    What is given comes before the environment, an `authorization` in the metadata included. Raise
    `InvalidArgument` for a token that cannot be sent, or that must not: in plain text it goes
    nowhere but to this machine, unless that is allowed.
    """
    is_given = token is not None or token_file is not None
    is_in_metadata = any(key == _AUTHORIZATION for key, _ in metadata)
    if is_in_metadata and is_given:
        raise InvalidArgument("token", "must not be set together with authorization in metadata")
    read = None if is_in_metadata else _source(token, token_file) or _source_of_environment()
    if read is None:
        return Reread(lambda: metadata)
    if not (is_encrypted or is_loopback(target) or insecure_token or _is_allowed()):
        raise InvalidArgument(
            "token",
            f"is not sent in plain text: connect to grpcs://{target}, or allow it with"
            f" insecure_token=True or {INSECURE_VARIABLE}=true",
        )
    return Reread(lambda: (*metadata, (_AUTHORIZATION, _Secret(f"Bearer {read()}"))))


def judged(error: RunstoreError, metadata: Reread[Metadata], sent: Metadata) -> RunstoreError:
    """The error of a call that was sent with `sent`, and whether a repeat would be sent with more.

    A refusal of the caller has the token read again at once.
    """
    if error.code not in _REFUSALS:
        return error
    error.token_was_replaced = metadata.look() != sent
    if metadata.problem and not error.token_was_replaced:
        (message,) = error.args
        error.args = (f"{message} ({metadata.problem})",)
    return error


def _source(
    token: str | None, token_file: str | os.PathLike[str] | None
) -> Callable[[], str] | None:
    if token is not None and token_file is not None:
        raise InvalidArgument("token", "must not be set together with token_file")
    if token is not None:
        checked = _checked(text(token, "token"), "token")
        return lambda: checked
    if token_file is None:
        return None
    if not isinstance(token_file, str | os.PathLike):
        raise not_of("a path", token_file, "token_file")
    return partial(_read, Path(token_file), "token_file")


def _source_of_environment() -> Callable[[], str] | None:
    token, file = os.environ.get(VARIABLE), os.environ.get(FILE_VARIABLE)
    if token and file:
        raise InvalidArgument(VARIABLE, f"must not be set together with {FILE_VARIABLE}")
    if token:
        checked = _checked(token, VARIABLE)
        return lambda: checked
    return partial(_read, Path(file), FILE_VARIABLE) if file else None


def _read(path: Path, field: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOKEN_LENGTH + 3)  # one more than the longest line
    except OSError as error:
        raise InvalidArgument(field, f"cannot be read: {path}: {error.strerror}") from error
    if not content.rstrip(b"\r\n"):
        raise InvalidArgument(field, f"has no token: {path} is empty")
    return _checked(content.decode("latin-1"), field)


def _checked(token: str, field: str) -> str:
    """The token without the end of its line; what is refused is not shown."""
    token = token.rstrip("\r\n")
    if not token:
        raise InvalidArgument(field, "must not be empty")
    if len(token) > MAX_TOKEN_LENGTH:
        raise InvalidArgument(field, f"must be a token of at most {MAX_TOKEN_LENGTH} characters")
    if not _TOKEN.fullmatch(token):
        raise InvalidArgument(
            field, "must be a token of printable ASCII without spaces, and no more than that"
        )
    return token


def _is_allowed() -> bool:
    said = os.environ.get(INSECURE_VARIABLE, "").lower()
    if said in {"true", "1"}:
        return True
    if said in {"", "false", "0"}:
        return False
    raise InvalidArgument(INSECURE_VARIABLE, f"must be true or false, is {said!r}")
