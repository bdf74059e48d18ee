"""runstore feed: what a person or a script asks of the feed and its consumers."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from runstore import Consumer, FeedEntry

from runstore_server.cli.connection import AsJson, Project, Target, connected
from runstore_server.cli.tables import runs as shown

app = typer.Typer(
    help="Look at the events of all runs of a project in the order of their publication.",
    no_args_is_help=True,
)

FromPosition = Annotated[int, typer.Option(help="First position to show.", min=0)]
Name = Annotated[str, typer.Argument(metavar="CONSUMER", help="The consumer's name.")]
Types = Annotated[list[str] | None, typer.Option("--type", help="Only this type; repeatable.")]


@app.command()
def ls(
    target: Target = None,
    project: Project = "default",
    from_position: FromPosition = 0,
    type_: Types = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """Print entries there are, from a position on."""
    with connected(target, project) as client:
        left = limit
        page = client.feed.read(from_position, page_size=min(left, 1000), types=type_ or ())
        while True:
            for entry in page.entries[:left]:
                _entry(entry, as_json=as_json)
            left -= len(page.entries)
            if left <= 0 or page.next_position > page.last_position:
                return
            page = client.feed.read(page.next_position, types=type_ or ())


@app.command()
def tail(
    target: Target = None,
    project: Project = "default",
    from_position: FromPosition = 0,
    consumer: Annotated[
        str, typer.Option(help="Go on after what this consumer committed, and commit.")
    ] = "",
    type_: Types = None,
    as_json: AsJson = False,
) -> None:
    """Print entries as they are published, until Ctrl-C. Server restarts go unnoticed."""
    with connected(target, project) as client:
        for entry in client.feed.entries(from_position, consumer=consumer, types=type_ or ()):
            _entry(entry, as_json=as_json)
            if consumer:
                client.feed.commit(consumer, entry.position)


@app.command()
def consumers(target: Target = None, project: Project = "default", as_json: AsJson = False) -> None:
    """List the project's consumers and how far each has come."""
    with connected(target, project) as client:
        found = list(client.feed.consumers())
    if as_json:
        for each in found:
            typer.echo(json.dumps(_consumer_json(each)))
        return
    if not found:
        typer.echo("no consumers")
        return
    table = Table("consumer", "position", "behind, at most", "committed", box=None)
    for each in found:
        behind = str(each.last_position - each.position)
        table.add_row(Text(each.name), str(each.position), behind, shown.time(each.committed_at))
    shown.console.print(table)


@app.command()
def reset(
    consumer: Name,
    target: Target = None,
    project: Project = "default",
    position: Annotated[
        int, typer.Option(help="Position to count as done; 0 starts over.", min=0)
    ] = 0,
) -> None:
    """Set a consumer back or forth."""
    with connected(target, project) as client:
        moved = client.feed.reset(consumer, position)
    typer.echo(f"{moved.name} goes on at position {moved.position + 1}")


def _entry(entry: FeedEntry, *, as_json: bool) -> None:
    if as_json:
        place = {"position": entry.position, "run_id": entry.run_id}
        typer.echo(json.dumps(place | shown.event_json(entry.event)))
        return
    place_text = Text(f"{entry.position:>8}  {entry.run_id} ", style="dim")
    shown.console.print(place_text, end="")
    shown.event(entry.event, as_json=False)


def _consumer_json(consumer: Consumer) -> dict[str, object]:
    return {
        "name": consumer.name,
        "position": consumer.position,
        "last_position": consumer.last_position,
        "created_at": consumer.created_at.isoformat(),
        "committed_at": consumer.committed_at.isoformat(),
    }
