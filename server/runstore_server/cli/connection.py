"""The connection of commands that ask a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from runstore import (
    Client,
    ConfigNotFound,
    DeadlineExceeded,
    InvalidArgument,
    Overloaded,
    RunNotFound,
    RunstoreError,
    Unavailable,
)
from runstore.channels import target_of

from runstore_server.cli.exits import ExitCode
from runstore_server.cli.failures import failed


@contextmanager
def connected(target: str | None, project: str) -> Iterator[Client]:
    """A client; a call that fails ends the command with a message of one line."""
    try:
        with Client(target, project=project) as client:
            yield client
    except (ConfigNotFound, RunNotFound) as error:
        raise failed(f"{error} (project {project!r}; choose another with --project)") from error
    except (Unavailable, DeadlineExceeded, Overloaded) as error:
        # Every server gives a reason; without one, none was reached.
        unreached = f"no server answers at {target_of(target)}; choose another with --target"
        raise failed(str(error) if error.reason else unreached, ExitCode.UNANSWERED) from error
    except RunstoreError as error:
        raise failed(str(error)) from error
    except InvalidArgument as error:
        raise failed(str(error), ExitCode.USAGE) from error
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
