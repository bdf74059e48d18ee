"""Runs as they stood at a seq, and what differs between two such states."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.text import Text
from runstore import ConfigRef, Event, Replayed, Snapshot, TaskWrite

from runstore_server.cli.differences import Difference
from runstore_server.cli.tables.cells import payload_cell
from runstore_server.cli.tables.events import print_event
from runstore_server.cli.tables.layout import print_table

_STYLE = {"added": "green", "removed": "red", "changed": "yellow"}


def print_replay(found: Replayed, events: Sequence[Event]) -> None:
    typer.echo(f"{found.run.run_id} at seq {found.at_seq}")
    _print_snapshot(found.snapshot)
    for write in found.task_writes:
        typer.echo(f"done since: {_write_text(write)}")
    for pinned in found.configs:
        typer.echo(f"pinned: {_ref_text(pinned.ref)}")
    for event in events:
        print_event(event)


def print_differences(found: Sequence[Difference]) -> None:
    if not found:
        typer.echo("no difference")
        return
    rows = (
        (
            each.name,
            each.what.replace("_", " "),
            Text(each.how, style=_STYLE[each.how]),
            ", ".join(each.fields) or "-",
        )
        for each in found
    )
    print_table(("name", "what", "how", "fields"), rows)


def _print_snapshot(snapshot: Snapshot | None) -> None:
    if snapshot is None:
        typer.echo("no snapshot: from the beginning")
        return
    typer.echo(f"snapshot {snapshot.snapshot_id} at seq {snapshot.seq}")
    for node in snapshot.nodes:
        pending = "  pending" if node.node_id in snapshot.pending_node_ids else ""
        typer.echo(f"  node {node.node_id}  {node.kind}  {node.status}{pending}")
    for name, part in snapshot.state.items():
        typer.echo(f"  state {name} = {payload_cell(part)}")


def _write_text(write: TaskWrite) -> str:
    return f"{write.task_id}/{write.index} {write.channel} {payload_cell(write.payload)}"


def _ref_text(ref: ConfigRef) -> str:
    return f"{ref.kind} {ref.name} version {ref.version} {ref.digest}"
