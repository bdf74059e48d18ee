"""The connection of commands that ask a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from runstore import (
    Client,
    ConfigNotFound,
    DeadlineExceeded,
    InvalidArgument,
    PermissionDenied,
    RunNotFound,
    RunstoreError,
    Unauthenticated,
)
from runstore.channels import target_of
from runstore.errors import MAY_PASS
from runstore.targets import is_secure

from runstore_server.cli.exits import ExitCode
from runstore_server.cli.failures import failed

# As gRPC tells of a handshake that failed, and of a server that hangs up on plain text.
_HANDSHAKE = re.compile(r"[Hh]andshake failed.*?OPENSSL_internal:(.*?)(?:: OK\b|$)", re.DOTALL)
_CLOSED = re.compile("Socket closed|Connection reset")


@contextmanager
def connected(target: str | None, project: str) -> Iterator[Client]:
    """A client; a call that fails ends the command with a message of one line."""
    try:
        with Client(target, project=project) as client:
            yield client
    except (ConfigNotFound, RunNotFound) as error:
        raise failed(f"{error} (project {project!r}; choose another with --project)") from error
    except (*MAY_PASS, DeadlineExceeded) as error:
        # Every server gives a reason; without one, none was reached.
        said = str(error) if error.reason else _unreached(target_of(target), str(error))
        raise failed(said, ExitCode.UNANSWERED) from error
    except Unauthenticated as error:
        raise failed(f"{error} ($RUNSTORE_TOKEN or $RUNSTORE_TOKEN_FILE has the token)") from error
    except PermissionDenied as error:
        raise failed(f"{error} (runstore admin whoami shows the caller's grants)") from error
    except RunstoreError as error:
        raise failed(str(error)) from error
    except InvalidArgument as error:
        raise failed(str(error), ExitCode.USAGE) from error
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _unreached(target: str, error: str) -> str:
    """Why no server was reached, in words for people."""
    if refused := _HANDSHAKE.search(error):
        return f"no TLS with {target}: {refused[1]}; $RUNSTORE_CA_FILE names the CA of a server"
    hint = ""
    if not is_secure(target) and _CLOSED.search(error):
        hint = f", or grpcs://{target} if it serves TLS"
    return f"no server answers at {target}; choose another with --target{hint}"
