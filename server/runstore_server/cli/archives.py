"""runstore export and verify-archive: a run as a file, and whether that file holds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from runstore.verify_archive import NOT_SIGNED, verify

from runstore_server.cli.connection import connected
from runstore_server.cli.exits import ExitCode
from runstore_server.cli.failures import failed
from runstore_server.cli.options import STDOUT, Project, RunId, Target
from runstore_server.cli.printing import progress_bar


def export(
    run_id: RunId,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write; - writes to standard output."),
    ],
    target: Target = None,
    project: Project = "default",
) -> None:
    """Write a run's archive, a tar file; it appears once it is complete."""
    with (
        connected(target, project) as client,
        progress_bar("exporting", in_bytes=True) as on_progress,
    ):
        run = client.run(run_id)
        if output == STDOUT:
            run.export(sys.stdout.buffer, lambda done: on_progress(done, None))
            sys.stdout.buffer.flush()
            return
        try:
            run.export(output, lambda done: on_progress(done, None))
        except OSError as error:
            raise failed(f"cannot write {output}: {error.strerror}") from error
    typer.echo(output)


def verify_archive(
    path: Annotated[Path, typer.Argument(help="The tar file, or a folder with its files.")],
) -> None:
    """Verify a run's archive, without a server; exit with 1 if something does not agree."""
    try:
        found = verify(path)
    except OSError as error:
        raise failed(f"cannot read {path}: {error.strerror}") from error
    for problem in found.problems:
        typer.secho(problem, fg=typer.colors.RED)
    if found.problems:
        raise typer.Exit(ExitCode.UNTRUE)
    typer.echo(found.facts)
    typer.echo(NOT_SIGNED)
