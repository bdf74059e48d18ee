"""runstore artifacts: named results of runs, listed, fetched and stored."""

from __future__ import annotations

import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from runstore import Client
from runstore.files import Writable, written

from runstore_server.cli.connection import connected
from runstore_server.cli.failures import failed
from runstore_server.cli.options import STDOUT, AsJson, Limit, Project, RunId, Target
from runstore_server.cli.printing import print_json, progress_bar
from runstore_server.cli.tables.artifacts import print_artifacts
from runstore_server.json.artifacts import artifact_value

app = typer.Typer(help="List, fetch and store the artifacts of runs.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The artifact's name in its run.")]


@app.command()
def ls(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN", help="The run; without it, all of the project.")
    ] = "",
    target: Target = None,
    project: Project = "default",
    type_: Annotated[str, typer.Option("--type", help="Only artifacts of this type.")] = "",
    name: Annotated[str, typer.Option(help="Only versions of this name.")] = "",
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List artifacts, newest first."""
    with connected(target, project) as client:
        found = list(islice(client.artifacts.list(run_id, type=type_, name=name), limit))
    if as_json:
        for artifact in found:
            print_json(artifact_value(artifact))
    else:
        print_artifacts(found)


@app.command()
def get(
    run_id: RunId,
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write; - writes to standard output. Else the last part of the name.",
        ),
    ] = None,
    target: Target = None,
    project: Project = "default",
    version: Annotated[int, typer.Option(help="The version; 0 is the newest.", min=0)] = 0,
) -> None:
    """Fetch an artifact and check its hash; the file appears once it is complete."""
    with connected(target, project) as client:
        which = {"run_id": run_id, "name": name, "version": version}
        if output == STDOUT:
            _fetch(client, which, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        path = output or Path(Path(name).name)
        try:
            with written(path) as file:
                _fetch(client, which, file)
        except OSError as error:
            raise failed(f"cannot write {path}: {error.strerror}") from error
        typer.echo(path)


@app.command()
def put(
    run_id: RunId,
    name: Name,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="The file to store.")
    ],
    target: Target = None,
    project: Project = "default",
    type_: Annotated[str, typer.Option("--type", help="The artifact's type, e.g. report.")] = "",
    content_type: Annotated[str, typer.Option(help="Its media type.")] = "",
    actor: Annotated[str, typer.Option(help="Who stores it, for the record.")] = "",
    as_json: AsJson = False,
) -> None:
    """Store a file as the next version of a name."""
    with connected(target, project) as client:
        stored = client.artifacts.upload(
            run_id, name, file, type=type_, content_type=content_type, actor=actor
        )
    if as_json:
        print_json({**artifact_value(stored.artifact), "deduplicated": stored.deduplicated})
    else:
        there = " (was stored already)" if stored.deduplicated else ""
        typer.echo(f"{name} version {stored.artifact.version}{there}")


def _fetch(client: Client, which: Any, file: Writable) -> None:
    fetched = 0
    with (
        progress_bar("fetching", in_bytes=True) as on_progress,
        closing(client.artifacts.download(**which)) as chunks,
    ):
        for chunk in chunks:
            file.write(chunk)
            fetched += len(chunk)
            on_progress(fetched, None)
