"""runstore artifacts: named results of runs, listed, fetched and stored."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.table import Column, Table
from rich.text import Text
from runstore import Artifact, Client

from runstore_server.cli.connection import AsJson, Project, RunId, Target, connected
from runstore_server.cli.tables.runs import console

app = typer.Typer(help="Results of runs that are kept as bytes.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The artifact's name in its run.")]
STDOUT = Path("-")


@app.command()
def ls(
    run_id: Annotated[
        str, typer.Argument(metavar="RUN", help="The run; without it the whole project.")
    ] = "",
    target: Target = None,
    project: Project = "default",
    type_: Annotated[str, typer.Option("--type", help="Only of this type.")] = "",
    name: Annotated[str, typer.Option(help="Only versions of this name.")] = "",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 20,
    as_json: AsJson = False,
) -> None:
    """List artifacts, newest first."""
    with connected(target, project) as client:
        found = list(islice(client.artifacts.list(run_id, type=type_, name=name), limit))
    if as_json:
        for artifact in found:
            typer.echo(json.dumps(_artifact_json(artifact)))
    elif found:
        console.print(_table(found))
    else:
        typer.echo("no artifacts")


@app.command()
def get(
    run_id: RunId,
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write, - for stdout; else the name's end."),
    ] = None,
    target: Target = None,
    project: Project = "default",
    version: Annotated[int, typer.Option(help="Which version; the newest without.", min=0)] = 0,
) -> None:
    """Fetch an artifact's bytes and check them; a file appears only when all are there."""
    with connected(target, project) as client:
        which = {"run_id": run_id, "name": name, "version": version}
        if output == STDOUT:
            _fetch(client, which, sys.stdout.buffer)
            return
        path = output or Path(Path(name).name)
        partial = path.with_name(f"{path.name}.part")
        try:
            with partial.open("wb") as file:
                _fetch(client, which, file)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        typer.echo(path)


@app.command()
def put(
    run_id: RunId,
    name: Name,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="What to store.")
    ],
    target: Target = None,
    project: Project = "default",
    type_: Annotated[str, typer.Option("--type", help="What it is, e.g. report.")] = "",
    content_type: Annotated[str, typer.Option(help="Its media type.")] = "",
    actor: Annotated[str, typer.Option(help="Who stores it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Store a file as the next version of a name."""
    with connected(target, project) as client:
        stored = client.artifacts.upload(
            run_id, name, file, type=type_, content_type=content_type, actor=actor
        )
    if as_json:
        typer.echo(
            json.dumps(_artifact_json(stored.artifact) | {"deduplicated": stored.deduplicated})
        )
    else:
        there = " (was there already)" if stored.deduplicated else ""
        typer.echo(f"{name} version {stored.artifact.version}{there}")


def _fetch(client: Client, which: Any, file: BinaryIO) -> None:
    with closing(client.artifacts.download(**which)) as chunks:
        file.writelines(chunks)
    file.flush()


def _table(found: list[Artifact]) -> Table:
    table = Table("created", "run", "name", Column("version", justify="right"), "type", box=None)
    table.add_column("size", justify="right")
    table.add_column("where")
    for each in found:
        table.add_row(
            f"{each.created_at:%Y-%m-%d %H:%M:%S}",
            Text(each.run_id),
            Text(each.name),
            str(each.version),
            Text(each.type),
            "-" if each.size is None else str(each.size),
            Text(each.url or f"sha256 {each.sha256.hex()[:12]}"),
        )
    return table


def _artifact_json(artifact: Artifact) -> dict[str, Any]:
    return {
        "artifact_id": artifact.artifact_id,
        "run_id": artifact.run_id,
        "name": artifact.name,
        "version": artifact.version,
        "type": artifact.type,
        "content_type": artifact.content_type,
        "size": artifact.size,
        "sha256": artifact.sha256.hex(),
        "url": artifact.url,
        "metadata": artifact.metadata.value() if artifact.metadata else None,
        "actor": artifact.actor,
        "created_at": artifact.created_at.isoformat(),
    }
