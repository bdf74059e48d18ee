"""How runs, events and snapshots look: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text
from runstore import Event, Output, Payload, RunInfo, Snapshot, Usage

MAX_PAYLOAD_SHOWN = 160
_STATUS_STYLE = {
    "RUNNING": "cyan",
    "PAUSED": "yellow",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELLED": "magenta",
    "EXTERNAL": "blue",
}

console = Console(highlight=False)


def runs(found: Sequence[RunInfo], *, as_json: bool) -> None:
    if as_json:
        for info in found:
            typer.echo(json.dumps(run_json(info)))
        return
    if not found:
        typer.echo("no runs")
        return
    table = Table(
        Column("run", no_wrap=True), "status", "events", "cost", "created", "objective", box=None
    )
    for info in found:
        table.add_row(
            Text(info.run_id),
            _status(info),
            str(info.last_seq),
            _cost(info.usage),
            time(info.created_at),
            Text(info.objective[:60]),
        )
    console.print(table)


def run(info: RunInfo, output: Output | None, *, as_json: bool) -> None:
    if as_json:
        whole = run_json(info) | {"output": _output_json(output) if output else None}
        typer.echo(json.dumps(whole))
        return
    table = Table.grid(padding=(0, 2))
    rows: list[tuple[str, str | Text]] = [
        ("run", Text(f"{info.project} / {info.run_id}")),
        ("objective", Text(info.objective)),
        ("status", _status(info)),
        ("events", str(info.last_seq)),
        ("writer epoch", str(info.writer_epoch)),
        ("usage", _usage(info.usage)),
        ("created", time(info.created_at)),
        ("updated", time(info.updated_at)),
        ("completed", time(info.completed_at) if info.completed_at else "-"),
        ("tags", Text(", ".join(info.tags) or "-")),
        ("fork of", Text(f"{info.fork_base.run_id} at {info.fork_base.seq}"))
        if info.fork_base
        else ("fork of", "-"),
        ("labels", Text(", ".join(f"{k}={v}" for k, v in info.labels.items()) or "-")),
    ]
    if output:
        rows.append(("output", Text(f"revision {output.revision}: {brief(output.payload)}")))
    for name, value in rows:
        table.add_row(Text(name, style="dim"), value)
    console.print(table)


def event(event: Event, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(event_json(event)))
        return
    where = " ".join(filter(None, (event.node_id, event.tool, event.model, event.actor)))
    line = Text.assemble(
        (f"{event.seq:>6} ", "bold"),
        (f"{event.recorded_at:%H:%M:%S.%f} "[:-4] + " ", "dim"),
        (f"{event.type:<20} ", "cyan"),
        (f"{where:<16} ", "green"),
        brief(event.payload),
    )
    console.print(line, soft_wrap=True)


def resume_point(info: RunInfo, snapshot: Snapshot | None, *, as_json: bool) -> None:
    point: dict[str, Any] = {
        "run_id": info.run_id,
        "status": info.status.name,
        "is_complete": info.completed_at is not None,
        "last_seq": info.last_seq,
        "writer_epoch": info.writer_epoch,
        "snapshot": snapshot_json(snapshot) if snapshot else None,
        "events_after_snapshot": info.last_seq - (snapshot.seq if snapshot else 0),
    }
    if as_json:
        typer.echo(json.dumps(point))
        return
    if point["is_complete"]:
        console.print(Text("the run is complete: there is nothing to resume", style="green"))
    table = Table.grid(padding=(0, 2))
    flat = {name: value for name, value in point.items() if name not in ("snapshot", "is_complete")}
    for name, value in (flat | (point["snapshot"] or {"snapshot": "none yet"})).items():
        shown = ", ".join(value) if isinstance(value, list) else str(value)
        table.add_row(Text(name.replace("_", " "), style="dim"), Text(shown or "-"))
    console.print(table)


def run_json(info: RunInfo) -> dict[str, Any]:
    """The run as JSON; the plan's text is kept as a text."""
    return {
        "project": info.project,
        "run_id": info.run_id,
        "plan_id": info.plan_id,
        "objective": info.objective,
        "plan": payload_json(info.plan),
        "parent_run_id": info.parent_run_id,
        "config_refs": [
            {"kind": ref.kind, "name": ref.name, "version": ref.version, "digest": ref.digest}
            for ref in info.config_refs
        ],
        "tags": list(info.tags),
        "labels": dict(info.labels),
        "status": info.status.name,
        "outcome": info.outcome.name,
        "last_seq": info.last_seq,
        "writer_epoch": info.writer_epoch,
        "usage": _usage_json(info.usage),
        "created_at": info.created_at.isoformat(),
        "updated_at": info.updated_at.isoformat(),
        "completed_at": info.completed_at.isoformat() if info.completed_at else None,
        "fork_base": {"run_id": info.fork_base.run_id, "seq": info.fork_base.seq}
        if info.fork_base
        else None,
    }


def event_json(event: Event) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "event_id": event.event_id,
        "type": event.type,
        "payload": payload_json(event.payload),
        "node_id": event.node_id,
        "actor": event.actor,
        "model": event.model,
        "tool": event.tool,
        "tags": list(event.tags),
        "usage": _usage_json(event.usage) if event.usage else None,
        "occurred_at": event.occurred_at.isoformat() if event.occurred_at else None,
        "recorded_at": event.recorded_at.isoformat(),
        "hash": event.hash.hex(),
    }


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "snapshot_id": snapshot.snapshot_id,
        "namespace": snapshot.namespace,
        "seq": snapshot.seq,
        "reason": snapshot.reason.name,
        "plan_version_id": snapshot.plan_version_id,
        "pending_node_ids": list(snapshot.pending_node_ids),
        "nodes": [node.node_id for node in snapshot.nodes],
        "state": sorted(snapshot.state),
        "task_writes": [write.task_id for write in snapshot.task_writes],
        "created_at": snapshot.created_at.isoformat(),
    }


def _output_json(output: Output) -> dict[str, Any]:
    return {
        "revision": output.revision,
        "outcome": output.outcome.name,
        "payload": payload_json(output.payload),
        "statistics": payload_json(output.statistics),
        "completed_at": output.completed_at.isoformat(),
    }


def payload_json(payload: Payload | None) -> dict[str, str] | None:
    """The payload as it is: its JSON as a text, bytes as hex."""
    if payload is None:
        return None
    if isinstance(payload.content, str):
        return {"json": payload.content, "content_type": payload.content_type}
    return {"hex": payload.content.hex(), "content_type": payload.content_type}


def _usage_json(usage: Usage) -> dict[str, int | float]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cost_micros": usage.cost_micros,
        "duration_seconds": usage.duration.total_seconds(),
    }


def brief(payload: Payload | None) -> str:
    if payload is None:
        return ""
    if isinstance(payload.content, bytes):
        return f"<{len(payload.content)} bytes {payload.content_type}>"
    text = " ".join(payload.content.split())
    return text if len(text) <= MAX_PAYLOAD_SHOWN else text[: MAX_PAYLOAD_SHOWN - 1] + "…"


def _status(info: RunInfo) -> Text:
    return Text(info.status.name.lower(), style=_STATUS_STYLE[info.status.name])


def _usage(usage: Usage) -> str:
    return (
        f"{usage.input_tokens} in, {usage.output_tokens} out, {_cost(usage)},"
        f" {usage.duration.total_seconds():.3f} s"
    )


def _cost(usage: Usage) -> str:
    return f"${usage.cost_micros / 1e6:.4f}"


def time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
