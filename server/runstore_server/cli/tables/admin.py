"""Callers, projects, limits, and the records of acts."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.text import Text
from runstore import AdminRecord, Caller, Limits, PrincipalKind, RecordVerification

from runstore_server.cli.tables.cells import time_cell
from runstore_server.cli.tables.layout import print_fields, print_table

ASKS_NOBODY = "anybody: the server asks nobody who calls (RUNSTORE_AUTH=off)"


def print_caller(caller: Caller) -> None:
    """Who it is, what it may do, and until when."""
    is_anybody = caller.principal.kind is PrincipalKind.ANYBODY
    print_fields(
        {
            "who": ASKS_NOBODY if is_anybody else str(caller.principal),
            "grants": " ".join(map(str, caller.grants)) or "none",
            "expires": time_cell(caller.expires_at) if caller.expires_at else "never",
        }
    )


def print_projects(projects: Sequence[str]) -> None:
    """A name on a line; nothing on standard output if there are none, for the loops of scripts."""
    if not projects:
        typer.echo("no projects", err=True)
    for each in projects:
        typer.echo(each)


def print_limits(limits: Limits) -> None:
    print_fields(
        {
            "calls per second": _limit(limits.calls_per_second),
            "events per second": _limit(limits.events_per_second),
            "bytes per second": _limit(limits.bytes_per_second),
            "streams": _limit(limits.streams),
            "stored bytes": _limit(limits.stored_bytes),
        }
    )


def print_records(records: Sequence[AdminRecord]) -> None:
    """Who did what, and how it ended."""
    if not records:
        typer.echo("no records")
        return
    rows = (
        (
            str(each.number),
            time_cell(each.recorded_at),
            str(each.principal),
            Text(each.status, style="green" if each.allowed else "red"),
            f"{each.method} {each.resource}".rstrip(),
        )
        for each in records
    )
    headings = ("number", "recorded", "by", "status", "what")
    print_table(headings, rows, numbers=("number",), text_width=20)


def print_verification(found: RecordVerification) -> None:
    if found.problem:
        said = f"broken at number {found.problem_number}: {found.problem}"
        typer.secho(said, fg=typer.colors.RED)
    elif found.last_number:
        typer.echo(
            f"{found.checked_records} records agree with their hashes;"
            f" the last is {found.last_number}"
        )
        typer.echo(found.last_hash.hex())
    else:
        typer.echo("no records")


def _limit(number: int) -> str:
    return f"{number:,}" if number else "no limit"
