"""How tokens are asked for and shown, whether they are made in a database or by a server."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from runstore_server.cli.failures import failed

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
DEFAULT_LIFETIME = "90d"
ONLY_OWNER = 0o600

Name = Annotated[str, typer.Option(help="What the token is for.")]
Grants = Annotated[
    list[str],
    typer.Option(
        "--grant",
        metavar="ROLE@PROJECTS",
        help="What it allows: recorder, reader, writer, admin or operator, in a project, below"
        " a prefix (acme/*), or in all (*); repeatable.",
    ),
]
Lifetime = Annotated[
    str, typer.Option(help="How long it is valid: 90d, 12h, 30m or 45s; 400 days at most.")
]
Output = Annotated[
    Path | None,
    typer.Option(help="A new file for the token, that only its owner may read."),
]


@dataclass(frozen=True, slots=True)
class Made:
    """A token that was made, with its text."""

    token_id: str
    expires_at: datetime
    text: str = field(repr=False)


def lifetime_of(given: str) -> timedelta:
    """A lifetime given as a number and its unit."""
    found = re.fullmatch(r"(\d{1,9})([dhms])", given)
    if not found:
        raise typer.BadParameter(f"{given!r} is not a number and d, h, m or s")
    return timedelta(seconds=int(found[1]) * UNITS[found[2]])


def show_made(make: Callable[[], Made], output: Path | None) -> None:
    """Make a token; write its text to a new file, or alone to standard output.

    The file is there before the token is made, as it may not be possible; without a token it goes.
    """
    if output:
        _write(output, "")
    try:
        made = make()
    except BaseException:
        if output:
            output.unlink()
        raise
    typer.echo(f"token {made.token_id}, until {made.expires_at:%Y-%m-%d %H:%M}Z", err=True)
    if output:
        _write(output, made.text + "\n", again=True)
    else:
        typer.echo(made.text)


def _write(path: Path, text: str, *, again: bool = False) -> None:
    """Write a file that is new, or that this made; only its owner may read it."""
    flags = os.O_WRONLY | (os.O_TRUNC if again else os.O_CREAT | os.O_EXCL)
    try:
        with open(os.open(path, flags, ONLY_OWNER), "w") as file:  # noqa: PTH123 - of a descriptor
            file.write(text)
    except OSError as error:
        raise failed(f"{path} cannot be written: {error.strerror}") from error
