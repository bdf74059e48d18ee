"""What commands print: JSON for programs, and the console that tables for people go to."""

from __future__ import annotations

import typer
from rich.console import Console

from runstore_server.json.writing import JsonValue, written_without

console = Console(highlight=False)


def print_json(value: JsonValue) -> None:
    """Print a value on one line, in UTF-8 whatever the terminal's encoding is."""
    typer.echo(written_without("\r\n", value).encode())
