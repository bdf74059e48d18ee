"""runstore runs replay, diff and fork: a run's past, and runs that begin with it."""

from __future__ import annotations

from typing import Annotated

import typer
from runstore import Client, Event, Replayed, Run, Snapshot

from runstore_server.cli.connection import connected
from runstore_server.cli.differences import Difference, differences
from runstore_server.cli.exits import ExitCode
from runstore_server.cli.options import AsJson, Project, ReadArchive, RunId, Target
from runstore_server.cli.printing import print_json
from runstore_server.cli.tables.replays import print_differences, print_replay
from runstore_server.json.replays import replay_value
from runstore_server.json.runs import run_value

MAX_PAGE = 1000

At = Annotated[
    int | None, typer.Option("--at", help="The run right after this seq; else at its end.", min=0)
]
Namespace = Annotated[str, typer.Option(help="Namespace of the snapshots.")]
Side = Annotated[str, typer.Argument(help="RUN, RUN@SEQ, or RUN#SNAPSHOT_ID.")]


def replay(
    run_id: RunId,
    target: Target = None,
    project: Project = "default",
    at: At = None,
    namespace: Namespace = "",
    read_archive: ReadArchive = False,
    as_json: AsJson = False,
) -> None:
    """Show a run as it stood at a seq: its snapshot, the results and events since, its configs."""
    with connected(target, project) as client:
        run = client.run(run_id)
        found = run.replay(at, namespace=namespace, read_archive=read_archive)
        events = _events(run, found, read_archive=read_archive)
    if as_json:
        print_json(replay_value(found, events))
    else:
        print_replay(found, events)


def diff(
    before: Side,
    after: Side,
    target: Target = None,
    project: Project = "default",
    namespace: Namespace = "",
    as_json: AsJson = False,
) -> None:
    """Compare plan and state at two seqs, of two snapshots or of two runs; exit with 1 if they
    differ.

    A side is a run at its end (RUN), right after an event (RUN@SEQ), or a snapshot (RUN#ID).
    """
    with connected(target, project) as client:
        sides = [_side(client, side, namespace) for side in (before, after)]
    found = differences(*sides)
    if as_json:
        for each in found:
            _print_difference(each)
    else:
        print_differences(found)
    if found:
        raise typer.Exit(ExitCode.UNTRUE)


def fork(
    run_id: RunId,
    target: Target = None,
    project: Project = "default",
    at: Annotated[
        int,
        typer.Option("--at", help="Last seq the two have in common; 0 means all of them.", min=0),
    ] = 0,
    name: Annotated[str, typer.Option(help="The fork's id; else the server makes one.")] = "",
    objective: Annotated[
        str | None, typer.Option(help="The fork's objective; else that of the run.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a run that begins with the history of another, and print its id."""
    with connected(target, project) as client:
        made = client.run(run_id).fork(at, objective=objective, run_id=name)
        info = made.get()
    if as_json:
        print_json(run_value(info, None))
    else:
        typer.echo(made.run_id)


def _events(run: Run, found: Replayed, *, read_archive: bool) -> list[Event]:
    """All events after the snapshot, up to the seq of the replay."""
    events = [*found.events]
    from_seq = found.next_from_seq
    while from_seq:
        page = run.list_events(from_seq, page_size=MAX_PAGE, read_archive=read_archive)
        events += [event for event in page.events if event.seq <= found.at_seq]
        from_seq = page.next_from_seq if page.next_from_seq <= found.at_seq else 0
    return events


def _side(client: Client, side: str, namespace: str) -> Snapshot | None:
    """The snapshot that a side of a comparison names."""
    run_id, hash_, snapshot_id = side.rpartition("#")
    if hash_:
        return client.run(run_id).get_snapshot(snapshot_id, namespace=namespace)
    run_id, at, seq = side.rpartition("@")
    if at and seq.isdecimal():
        return client.run(run_id).replay(int(seq), namespace=namespace).snapshot
    return client.run(side).replay(namespace=namespace).snapshot


def _print_difference(difference: Difference) -> None:
    print_json(
        {
            "what": difference.what,
            "name": difference.name,
            "how": difference.how,
            "fields": difference.fields,
        }
    )
