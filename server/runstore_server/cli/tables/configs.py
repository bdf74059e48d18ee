"""Configs, their versions, and the moves of their labels."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.table import Column, Table
from rich.text import Text
from runstore import Config, ConfigVersion, LabelMove, Payload, RegisteredVersion

from runstore_server.cli.printing import console
from runstore_server.cli.tables.cells import time_cell

SHORT_DIGEST = len("sha256:") + 12


def print_configs(found: Sequence[Config]) -> None:
    if not found:
        typer.echo("no configs")
        return
    table = Table("kind", Column("name", no_wrap=True), "latest", "registered", "labels", box=None)
    for each in found:
        labels = ", ".join(f"{label.label}={label.version}" for label in each.labels)
        table.add_row(
            Text(each.kind),
            Text(each.name),
            str(each.latest.version),
            time_cell(each.latest.created_at),
            Text(labels or "-"),
        )
    console.print(table)


def print_version(found: ConfigVersion) -> None:
    """A version's fields, then its body."""
    author = f" by {found.actor}" if found.actor else ""
    table = Table.grid(padding=(0, 2))
    for name, value in (
        (found.kind, found.name),
        ("version", str(found.version)),
        ("digest", found.digest),
        ("labels", ", ".join(found.labels) or "-"),
        ("registered", time_cell(found.created_at) + author),
        ("description", found.description or "-"),
        ("metadata", _text(found.metadata) or "-"),
        ("size", f"{found.body_bytes} bytes"),
    ):
        table.add_row(Text(name, style="dim"), Text(value))
    console.print(table)
    typer.echo(_text(found.body))


def print_versions(found: Sequence[ConfigVersion]) -> None:
    table = Table("version", "digest", "bytes", "registered", "by", "labels", box=None)
    for each in found:
        table.add_row(
            str(each.version),
            each.digest[:SHORT_DIGEST],
            str(each.body_bytes),
            time_cell(each.created_at),
            Text(each.actor or "-"),
            Text(", ".join(each.labels) or "-"),
        )
    console.print(table)


def print_registered(found: RegisteredVersion) -> None:
    known = ", registered before" if found.deduplicated else ""
    typer.echo(f"version {found.version}{known}, {found.digest}")


def print_move(found: LabelMove) -> None:
    if found.from_version != found.to_version:
        typer.echo(f"{found.label}: {_target(found.from_version)} -> {_target(found.to_version)}")
    elif found.to_version:
        typer.echo(f"{found.label} already points to version {found.to_version}")
    else:
        typer.echo(f"there is no label {found.label}")


def print_moves(found: Sequence[LabelMove]) -> None:
    if not found:
        typer.echo("no label was ever moved")
        return
    table = Table("moved", "label", "from", "to", "by", box=None)
    for each in found:
        table.add_row(
            time_cell(each.moved_at),
            Text(each.label),
            _target(each.from_version),
            _target(each.to_version),
            Text(each.actor or "-"),
        )
    console.print(table)


def _text(payload: Payload | None) -> str:
    """The payload as text; only its size and type where its bytes are not UTF-8."""
    if payload is None:
        return ""
    try:
        return payload.data.decode()
    except UnicodeDecodeError:
        return f"<{len(payload.data)} bytes {payload.content_type}>"


def _target(version: int) -> str:
    """Where a label points."""
    return f"version {version}" if version else "nowhere"
