"""Failures that end a command with a message instead of a traceback."""

from __future__ import annotations

import typer

from runstore_server.cli.exits import ExitCode


def failed(message: str, code: ExitCode = ExitCode.FAILED) -> typer.Exit:
    """Print a message, and return the exit to raise."""
    typer.secho(message, err=True, fg=typer.colors.RED)
    return typer.Exit(code)
