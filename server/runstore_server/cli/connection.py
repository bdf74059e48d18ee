"""What commands that ask a server have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from runstore import Client, ConfigNotFound, RunNotFound, RunstoreError, Unavailable
from runstore.channels import target_of

Target = Annotated[
    str | None,
    typer.Option(help="Server, host:port; else $RUNSTORE_TARGET, else localhost:7411."),
]
Project = Annotated[str, typer.Option(help="The project.", envvar="RUNSTORE_PROJECT")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one value a line.")]

Labels = Annotated[
    list[str] | None,
    typer.Option("--label", help="Only runs with this label; repeatable.", metavar="KEY=VALUE"),
]


def labels_of(given: list[str] | None) -> dict[str, str]:
    """Labels given as KEY=VALUE."""
    labels: dict[str, str] = {}
    for each in given or ():
        key, equals, value = each.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{each!r} is not KEY=VALUE")
        labels[key] = value
    return labels


@contextmanager
def connected(target: str | None, project: str) -> Iterator[Client]:
    """A client whose failures are said in a line."""
    try:
        with Client(target, project=project) as client:
            yield client
    except (ConfigNotFound, RunNotFound) as error:
        typer.secho(f"{error} (project {project!r}; choose another with --project)", err=True)
        raise typer.Exit(1) from error
    except Unavailable as error:
        # A server that answers says a reason; without one there was nobody to.
        nobody = f"no server answers at {target_of(target)}; choose another with --target"
        typer.secho(str(error) if error.reason else nobody, err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from error
    except RunstoreError as error:
        typer.secho(str(error), err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
