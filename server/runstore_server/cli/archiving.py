"""runstore archive and restore: moving a run's events to the object store, and back."""

from __future__ import annotations

import time
from typing import Annotated
from uuid import uuid4

import typer
from runstore import Archive, ArchiveState, Client

from runstore_server.cli.connection import connected
from runstore_server.cli.failures import failed
from runstore_server.cli.options import ActReason, AsJson, Project, RunId, Target
from runstore_server.cli.printing import print_json, progress_bar
from runstore_server.json.archives import archive_value

POLL_SECONDS = 0.2


def archive(
    run_id: RunId,
    reason: ActReason,
    wait: Annotated[bool, typer.Option(help="Wait until the rows of its events are gone.")] = True,
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Move the events of a run that has ended to the object store.

    They are read from there by whoever says --read-archive. It waits for those
    who have yet to read the events in the feed. It takes a token of an admin of
    the project.

    For instance:

      runstore archive run-1 --reason "older than a year" --project acme/search
    """
    request_id = str(uuid4())
    with connected(target, project) as client:
        found = client.admin.archive_run(run_id, reason, request_id=request_id)
        if wait:
            found = _done(client, run_id, reason, request_id, found)
    if as_json:
        print_json(archive_value(found))
    else:
        of = f"archive {found.number}, record {found.record}"
        typer.echo(f"{run_id}: {found.state} ({of})")
    if found.state is ArchiveState.CANCELLED:
        raise failed(
            "a hold or a fork came first, or the files could not be made: see the server's log"
        )


def restore(
    run_id: RunId,
    reason: ActReason,
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Put the events of an archived run back into the database, as they were.

    The archive is verified first. It takes a token of an admin of the project.

    For instance:

      runstore restore run-1 --reason "case 7" --project acme/search
    """
    with connected(target, project) as client, progress_bar("restoring") as on_progress:
        on_progress(0, None)
        found = client.admin.restore_run(run_id, reason)
    if as_json:
        print_json(archive_value(found))
    else:
        typer.echo(f"{run_id} is restored: events {found.first_seq}-{found.last_seq}")


def _done(client: Client, run_id: str, reason: str, request_id: str, found: Archive) -> Archive:
    """The archive once nothing more happens to it; the same request says how far it has come."""
    total = found.last_seq - found.first_seq + 1
    with progress_bar("archiving") as on_progress:
        while found.state < ArchiveState.DONE:
            on_progress(found.removed_events, total)
            time.sleep(POLL_SECONDS)
            found = client.admin.archive_run(run_id, reason, request_id=request_id)
    return found
