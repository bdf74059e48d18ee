"""What commands print: JSON for programs, tables and progress for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TimeRemainingColumn,
)

from runstore_server.json.writing import JsonValue, written_without

console = Console(highlight=False)

OnProgress: TypeAlias = Callable[[int, int | None], None]
"""Takes how much is done, and of how much, None where that is not known."""


def print_json(value: JsonValue) -> None:
    """Print a value on one line, in UTF-8 whatever the terminal's encoding is."""
    typer.echo(written_without("\r\n", value).encode())


@contextmanager
def progress_bar(title: str, *, in_bytes: bool = False) -> Iterator[OnProgress]:
    """Show a bar on standard error while work goes on; nothing where that is no terminal."""
    errors = Console(stderr=True)
    amount: ProgressColumn = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (title, BarColumn(), amount, TimeRemainingColumn())
    with Progress(
        *columns, console=errors, transient=True, disable=not errors.is_terminal
    ) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
