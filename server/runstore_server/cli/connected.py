"""What commands that ask a server have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from runstore import Client, RunNotFound, RunstoreError

Target = Annotated[
    str | None,
    typer.Option(help="Server, host:port; else $RUNSTORE_TARGET, else localhost:7411."),
]
Project = Annotated[str, typer.Option(help="The project.", envvar="RUNSTORE_PROJECT")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one value a line.")]


@contextmanager
def connected(target: str | None, project: str) -> Iterator[Client]:
    """A client whose failures are said in a line."""
    try:
        with Client(target, project=project) as client:
            yield client
    except RunNotFound as error:
        typer.secho(f"{error} (project {project!r}; choose another with --project)", err=True)
        raise typer.Exit(1) from error
    except RunstoreError as error:
        typer.secho(str(error), err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
