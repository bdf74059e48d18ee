"""runstore runs replay, diff and fork: what was, what changed, what if."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from runstore import Client, ConfigRef, Event, Replayed, Snapshot, TaskWrite

from runstore_server.cli.connection import AsJson, Project, RunId, Target, connected
from runstore_server.cli.differences import Difference, differences
from runstore_server.cli.tables import runs as shown

At = Annotated[
    int | None, typer.Option("--at", help="Right after this seq; the last one by default.", min=0)
]
Namespace = Annotated[str, typer.Option(help="Namespace of the snapshots.")]
Side = Annotated[
    str,
    typer.Argument(help="RUN, RUN@SEQ, or RUN#SNAPSHOT_ID."),
]
_STYLE = {"added": "green", "removed": "red", "changed": "yellow"}


def replay(
    run_id: RunId,
    target: Target = None,
    project: Project = "default",
    at: At = None,
    namespace: Namespace = "",
    as_json: AsJson = False,
) -> None:
    """Show a run as it stood at a seq: snapshot, results since, events since, pinned configs."""
    with connected(target, project) as client:
        run = client.run(run_id)
        found = run.replay(at, namespace=namespace)
        events = [*found.events]
        from_seq = found.next_from_seq
        while from_seq:
            page = run.list_events(from_seq, page_size=1000)
            events += [event for event in page.events if event.seq <= found.at_seq]
            from_seq = page.next_from_seq if page.next_from_seq <= found.at_seq else 0
    if as_json:
        typer.echo(json.dumps(_replayed_json(found, events)))
        return
    typer.echo(f"{run_id} at seq {found.at_seq}")
    _show_snapshot(found.snapshot)
    for write in found.task_writes:
        typer.echo(f"done since: {_write_text(write)}")
    for pinned in found.configs:
        typer.echo(f"pinned: {_ref_text(pinned.ref)}")
    for event in events:
        shown.event(event, as_json=False)


def diff(
    before: Side,
    after: Side,
    target: Target = None,
    project: Project = "default",
    namespace: Namespace = "",
    as_json: AsJson = False,
) -> None:
    """Compare plan and state at two seqs, of two snapshots or of two runs; exit with 1 where they
    differ.

    A side is a run at its end (RUN), right after an event (RUN@SEQ), or a snapshot (RUN#ID).
    """
    with connected(target, project) as client:
        sides = [_side(client, side, namespace) for side in (before, after)]
    found = differences(*sides)
    if as_json:
        for each in found:
            typer.echo(json.dumps(_difference_json(each)))
    elif not found:
        typer.echo("no difference")
    else:
        table = Table("what", "name", "how", "fields", box=None)
        for each in found:
            how = Text(each.how, style=_STYLE[each.how])
            table.add_row(each.kind, Text(each.name), how, ", ".join(each.fields))
        shown.console.print(table)
    if found:
        raise typer.Exit(1)


def fork(
    run_id: RunId,
    target: Target = None,
    project: Project = "default",
    at: Annotated[
        int, typer.Option("--at", help="Last seq to have in common; 0 means all.", min=0)
    ] = 0,
    name: Annotated[str, typer.Option(help="Id of the fork; made where it is missing.")] = "",
    objective: Annotated[str | None, typer.Option(help="What the fork is for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a run that begins with the history of another, and print its id."""
    with connected(target, project) as client:
        made = client.run(run_id).fork(at, objective=objective, run_id=name)
        info = made.get()
    shown.run(info, None, as_json=True) if as_json else typer.echo(made.run_id)


def _side(client: Client, side: str, namespace: str) -> Snapshot | None:
    """The snapshot that a side of a comparison names."""
    run_id, hash_, snapshot_id = side.rpartition("#")
    if hash_:
        return client.run(run_id).get_snapshot(snapshot_id, namespace=namespace)
    run_id, at, seq = side.rpartition("@")
    if at and seq.isdecimal():
        return client.run(run_id).replay(int(seq), namespace=namespace).snapshot
    return client.run(side).replay(namespace=namespace).snapshot


def _show_snapshot(snapshot: Snapshot | None) -> None:
    if snapshot is None:
        typer.echo("no snapshot: from the beginning")
        return
    typer.echo(f"snapshot {snapshot.snapshot_id} at seq {snapshot.seq}")
    for node in snapshot.nodes:
        pending = "  pending" if node.node_id in snapshot.pending_node_ids else ""
        typer.echo(f"  node {node.node_id}  {node.kind}  {node.status}{pending}")
    for name, part in snapshot.state.items():
        typer.echo(f"  state {name} = {shown.brief(part)}")


def _write_text(write: TaskWrite) -> str:
    return f"{write.task_id}/{write.index} {write.channel} {shown.brief(write.payload)}"


def _ref_text(ref: ConfigRef) -> str:
    return f"{ref.kind} {ref.name} version {ref.version} {ref.digest}"


def _replayed_json(found: Replayed, events: list[Event]) -> dict[str, object]:
    snapshot = found.snapshot
    return {
        "run_id": found.run.run_id,
        "at_seq": found.at_seq,
        "snapshot": shown.snapshot_json(snapshot) if snapshot else None,
        "state": {name: shown.payload_json(part) for name, part in snapshot.state.items()}
        if snapshot
        else {},
        "task_writes": [
            {
                "task_id": write.task_id,
                "index": write.index,
                "channel": write.channel,
                "payload": shown.payload_json(write.payload),
            }
            for write in found.task_writes
        ],
        "events": [shown.event_json(event) for event in events],
        "configs": [
            {
                "kind": each.ref.kind,
                "name": each.ref.name,
                "version": each.ref.version,
                "digest": each.ref.digest,
                "body": shown.payload_json(each.body),
            }
            for each in found.configs
        ],
    }


def _difference_json(difference: Difference) -> dict[str, object]:
    return {
        "what": difference.kind,
        "name": difference.name,
        "how": difference.how,
        "fields": list(difference.fields),
    }
