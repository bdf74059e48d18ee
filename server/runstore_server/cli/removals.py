"""runstore delete, and runstore removals: removing runs for good, and what was removed."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from runstore import Client, Removal, RunNotFound

from runstore_server.cli.connection import connected
from runstore_server.cli.failures import failed
from runstore_server.cli.options import ActReason, AsJson, Project, RunId, Target
from runstore_server.cli.printing import print_json, progress_bar
from runstore_server.cli.tables.removals import print_removals
from runstore_server.json.removals import removal_value

POLL_SECONDS = 0.2

app = typer.Typer(help="Look at what was removed for good.", no_args_is_help=True)


def delete(
    run_id: RunId,
    reason: ActReason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the run is gone.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until nothing of it is stored.")] = True,
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Delete a run that has ended, with all that is stored of it.

    It can no longer be read at once, and its id stays taken; what is stored of
    it is removed after that. It takes a token of an admin of the project.

    For instance:

      runstore delete run-1 --reason "case 7" --project acme/search
    """
    with connected(target, project) as client:
        run = client.run(run_id).get()
        question = f"Delete run {run_id} of project {project}, {run.last_seq} events, for good?"
        if not (yes or typer.confirm(question, err=True)):
            raise failed("nothing is deleted")
        # What was written since it was looked at is not deleted unseen.
        removal = client.admin.delete_run(run_id, reason=reason, expected_last_seq=run.last_seq)
        if wait:
            removal = _gone(client, run_id, removal)
    if as_json:
        print_json(removal_value(removal))
    else:
        state = "gone" if removal.done_at else "being removed"
        typer.echo(f"{run_id} is {state} (removal {removal.removal_id}, record {removal.record})")


@app.command()
def ls(
    run_id: Annotated[
        str,
        typer.Argument(metavar="RUN", help="Only removals of this run.", show_default=False),
    ] = "",
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """List what was removed for good, newest first; it names no run.

    For instance whether all of a run is gone:

      runstore removals ls run-1 --project acme/search
    """
    with connected(target, project) as client:
        try:
            found = list(client.admin.removals(run_id))
        except RunNotFound as error:
            raise failed(str(error)) from error
    if as_json:
        for removal in found:
            print_json(removal_value(removal))
    else:
        print_removals(found)


def _gone(client: Client, run_id: str, removal: Removal) -> Removal:
    """The removal once it is done."""
    total = removal.last_seq - removal.first_seq + 1 if removal.last_seq else 0
    with progress_bar("removing") as on_progress:
        while removal.done_at is None:
            on_progress(removal.removed_events, total)
            time.sleep(POLL_SECONDS)
            removal = next(iter(client.admin.removals(run_id)))
    return removal
