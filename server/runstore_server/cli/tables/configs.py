"""How configs and labels look: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer
from rich.table import Column, Table
from rich.text import Text
from runstore import Config, ConfigVersion, LabelMove, Payload, RegisteredVersion

from runstore_server.cli.tables.runs import console, time

SHORT_DIGEST = len("sha256:") + 12


def configs(found: Sequence[Config], *, as_json: bool) -> None:
    if as_json:
        for each in found:
            typer.echo(json.dumps(_config_json(each)))
        return
    if not found:
        typer.echo("no configs")
        return
    table = Table("kind", Column("name", no_wrap=True), "latest", "registered", "labels", box=None)
    for each in found:
        labels = ", ".join(f"{label.label}={label.version}" for label in each.labels)
        latest = each.latest
        table.add_row(
            Text(each.kind),
            Text(each.name),
            str(latest.version),
            time(latest.created_at),
            Text(labels or "-"),
        )
    console.print(table)


def version(found: ConfigVersion, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_version_json(found) | {"body": _payload_json(found.body)}))
        return
    table = Table.grid(padding=(0, 2))
    for name, value in (
        (found.kind, found.name),
        ("version", str(found.version)),
        ("digest", found.digest),
        ("labels", ", ".join(found.labels) or "-"),
        (
            "registered",
            time(found.created_at) + (f" by {found.actor}" if found.actor else ""),
        ),
        ("description", found.description or "-"),
        ("metadata", _text(found.metadata) or "-"),
        ("size", f"{found.body_bytes} bytes"),
    ):
        table.add_row(Text(name, style="dim"), Text(value))
    console.print(table)
    typer.echo(_text(found.body))


def versions(found: Sequence[ConfigVersion], *, as_json: bool) -> None:
    if as_json:
        for each in found:
            typer.echo(json.dumps(_version_json(each)))
        return
    table = Table("version", "digest", "bytes", "registered", "by", "labels", box=None)
    for each in found:
        table.add_row(
            str(each.version),
            each.digest[:SHORT_DIGEST],
            str(each.body_bytes),
            time(each.created_at),
            Text(each.actor or "-"),
            Text(", ".join(each.labels) or "-"),
        )
    console.print(table)


def registered(found: RegisteredVersion, *, as_json: bool) -> None:
    if as_json:
        whole = {
            "version": found.version,
            "digest": found.digest,
            "created_at": found.created_at.isoformat(),
            "deduplicated": found.deduplicated,
        }
        typer.echo(json.dumps(whole))
    else:
        known = ", known before" if found.deduplicated else ""
        typer.echo(f"version {found.version}{known}, {found.digest}")


def move(found: LabelMove, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_move_json(found)))
    elif found.from_version == found.to_version:
        place = f"at version {found.to_version}" if found.to_version else "not there"
        typer.echo(f"{found.label} is {place} already")
    else:
        typer.echo(f"{found.label}: {_place(found.from_version)} -> {_place(found.to_version)}")


def moves(found: Sequence[LabelMove], *, as_json: bool) -> None:
    if as_json:
        for each in found:
            typer.echo(json.dumps(_move_json(each)))
        return
    if not found:
        typer.echo("no label was ever moved")
        return
    table = Table("moved", "label", "from", "to", "by", box=None)
    for each in found:
        table.add_row(
            time(each.moved_at) if each.moved_at else "-",
            Text(each.label),
            _place(each.from_version),
            _place(each.to_version),
            Text(each.actor or "-"),
        )
    console.print(table)


def _config_json(config: Config) -> dict[str, Any]:
    return {
        "kind": config.kind,
        "name": config.name,
        "latest": _version_json(config.latest),
        "labels": {label.label: label.version for label in config.labels},
        "created_at": config.created_at.isoformat(),
    }


def _version_json(version: ConfigVersion) -> dict[str, Any]:
    return {
        "kind": version.kind,
        "name": version.name,
        "version": version.version,
        "digest": version.digest,
        "body_bytes": version.body_bytes,
        "description": version.description,
        "metadata": _payload_json(version.metadata),
        "labels": list(version.labels),
        "actor": version.actor,
        "created_at": version.created_at.isoformat(),
    }


def _move_json(move: LabelMove) -> dict[str, Any]:
    return {
        "label": move.label,
        "from_version": move.from_version,
        "to_version": move.to_version,
        "actor": move.actor,
        "moved_at": move.moved_at.isoformat() if move.moved_at else None,
    }


def _payload_json(payload: Payload | None) -> dict[str, str] | None:
    """The payload as it is: its JSON as a text, bytes as hex."""
    if payload is None:
        return None
    if isinstance(payload.content, str):
        return {"json": payload.content, "content_type": payload.content_type}
    return {"hex": payload.content.hex(), "content_type": payload.content_type}


def _text(payload: Payload | None) -> str:
    """The payload where it is a text, else what it is."""
    if payload is None:
        return ""
    try:
        return payload.data.decode()
    except UnicodeDecodeError:
        return f"<{len(payload.data)} bytes {payload.content_type}>"


def _place(version: int) -> str:
    return f"version {version}" if version else "nowhere"
