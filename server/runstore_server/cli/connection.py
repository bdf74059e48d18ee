"""The connection of commands that ask a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from runstore import (
    Client,
    ConfigNotFound,
    InvalidArgument,
    RunNotFound,
    RunstoreError,
    Unavailable,
)
from runstore.channels import target_of

from runstore_server.cli.failures import failed


@contextmanager
def connected(target: str | None, project: str) -> Iterator[Client]:
    """A client; a call that fails ends the command with a message of one line."""
    try:
        with Client(target, project=project) as client:
            yield client
    except (ConfigNotFound, RunNotFound) as error:
        raise failed(f"{error} (project {project!r}; choose another with --project)") from error
    except Unavailable as error:
        # Every server gives a reason; without one, none was reached.
        unreached = f"no server answers at {target_of(target)}; choose another with --target"
        raise failed(str(error) if error.reason else unreached) from error
    except (InvalidArgument, RunstoreError) as error:
        raise failed(str(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
