"""Runs, and where a resume would begin."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.text import Text
from runstore import Output, RunInfo, Snapshot, Usage

from runstore_server.cli.printing import console
from runstore_server.cli.tables.cells import cost_cell, payload_cell, status_cell, time_cell
from runstore_server.cli.tables.layout import Cell, print_fields, print_table


def print_runs(found: Sequence[RunInfo]) -> None:
    if not found:
        typer.echo("no runs")
        return
    rows = (
        (
            info.run_id,
            status_cell(info),
            str(info.last_seq),
            cost_cell(info.usage),
            time_cell(info.created_at),
            info.objective,
        )
        for info in found
    )
    headings = ("run", "status", "events", "cost", "created", "objective")
    print_table(headings, rows, numbers=("events", "cost"), text_width=16)


def print_run(info: RunInfo, output: Output | None) -> None:
    base = info.fork_base
    rows: dict[str, Cell] = {
        "run": f"{info.project} / {info.run_id}",
        "objective": info.objective,
        "status": status_cell(info),
        "events": str(info.last_seq),
        "writer epoch": str(info.writer_epoch),
        "usage": _usage(info.usage),
        "created": time_cell(info.created_at),
        "updated": time_cell(info.updated_at),
        "completed": time_cell(info.completed_at),
        "tags": ", ".join(info.tags),
        "fork of": f"{base.run_id} at {base.seq}" if base else "",
        "labels": ", ".join(f"{key}={value}" for key, value in info.labels.items()),
    }
    if output:
        rows["output"] = f"revision {output.revision}: {payload_cell(output.payload)}"
    print_fields(rows)


def print_resume_point(info: RunInfo, snapshot: Snapshot | None) -> None:
    if info.completed_at:
        console.print(Text("the run is complete: there is nothing to resume", style="green"))
    rows: dict[str, Cell] = {
        "run": info.run_id,
        "status": status_cell(info),
        "events": str(info.last_seq),
        "writer epoch": str(info.writer_epoch),
        "events after snapshot": str(info.last_seq - (snapshot.seq if snapshot else 0)),
    }
    print_fields(rows | (_snapshot_rows(snapshot) if snapshot else {"snapshot": "none yet"}))


def _snapshot_rows(snapshot: Snapshot) -> dict[str, Cell]:
    return {
        "snapshot": snapshot.snapshot_id,
        "namespace": snapshot.namespace,
        "at seq": str(snapshot.seq),
        "reason": snapshot.reason.name.lower(),
        "plan version": snapshot.plan_version_id,
        "pending nodes": ", ".join(snapshot.pending_node_ids),
        "nodes": ", ".join(node.node_id for node in snapshot.nodes),
        "state": ", ".join(sorted(snapshot.state)),
        "task writes": ", ".join(write.task_id for write in snapshot.task_writes),
        "created": time_cell(snapshot.created_at),
    }


def _usage(usage: Usage) -> str:
    return (
        f"{usage.input_tokens} in, {usage.output_tokens} out, {cost_cell(usage)},"
        f" {usage.duration.total_seconds():.3f} s"
    )
