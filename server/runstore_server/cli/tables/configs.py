"""Configs, their versions, and the moves of their labels."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from runstore import Config, ConfigVersion, LabelMove, Payload, RegisteredVersion

from runstore_server.cli.tables.cells import time_cell
from runstore_server.cli.tables.layout import print_fields, print_table

SHORT_DIGEST = len("sha256:") + 12


def print_configs(found: Sequence[Config]) -> None:
    if not found:
        typer.echo("no configs")
        return
    rows = (
        (
            each.name,
            each.kind,
            str(each.latest.version),
            time_cell(each.latest.created_at),
            ", ".join(f"{label.label}={label.version}" for label in each.labels) or "-",
        )
        for each in found
    )
    headings = ("name", "kind", "latest", "registered", "labels")
    print_table(headings, rows, numbers=("latest",), text_width=20)


def print_version(found: ConfigVersion) -> None:
    """A version's fields, then its body."""
    author = f" by {found.actor}" if found.actor else ""
    print_fields(
        {
            "kind": found.kind,
            "name": found.name,
            "version": str(found.version),
            "digest": found.digest,
            "labels": ", ".join(found.labels),
            "registered": time_cell(found.created_at) + author,
            "description": found.description,
            "metadata": _text(found.metadata),
            "size": f"{found.body_bytes} bytes",
        }
    )
    typer.echo(_text(found.body))


def print_versions(found: Sequence[ConfigVersion]) -> None:
    rows = (
        (
            str(each.version),
            each.digest[:SHORT_DIGEST],
            f"{each.body_bytes:,}",
            time_cell(each.created_at),
            each.actor or "-",
            ", ".join(each.labels) or "-",
        )
        for each in found
    )
    headings = ("version", "digest", "bytes", "registered", "by", "labels")
    print_table(headings, rows, numbers=("version", "bytes"))


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
    rows = (
        (
            each.label,
            _target(each.from_version),
            _target(each.to_version),
            time_cell(each.moved_at),
            each.actor or "-",
        )
        for each in found
    )
    print_table(("label", "from", "to", "moved", "by"), rows)


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
