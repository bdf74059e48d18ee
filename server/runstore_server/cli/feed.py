"""runstore feed: the events of all runs in one order, and the consumers of that order."""

from __future__ import annotations

from typing import Annotated

import typer
from runstore import FeedEntry

from runstore_server.cli.connection import connected
from runstore_server.cli.options import AllowGaps, AsJson, Limit, Project, Target, Types
from runstore_server.cli.printing import print_json
from runstore_server.cli.tables.events import print_entry
from runstore_server.cli.tables.feed import print_consumers
from runstore_server.json.feed import consumer_value, entry_value

MAX_PAGE = 1000

app = typer.Typer(
    help="Read the events of all runs of a project in the order of their publication.",
    no_args_is_help=True,
)

FromPosition = Annotated[int, typer.Option(help="First position to show.", min=0)]
Name = Annotated[str, typer.Argument(metavar="CONSUMER", help="The consumer's name.")]


@app.command()
def ls(
    target: Target = None,
    project: Project = "default",
    from_position: FromPosition = 0,
    type_: Types = None,
    limit: Limit = 100,
    allow_gaps: AllowGaps = False,
    as_json: AsJson = False,
) -> None:
    """List published events, from a position on."""
    with connected(target, project) as client:
        left, types = limit, type_ or ()
        page = client.feed.read(
            from_position, page_size=min(left, MAX_PAGE), allow_gaps=allow_gaps, types=types
        )
        while True:
            for entry in page.entries[:left]:
                _print(entry, as_json=as_json)
            left -= len(page.entries)
            if left <= 0 or page.next_position > page.last_position:
                return
            page = client.feed.read(page.next_position, allow_gaps=allow_gaps, types=types)


@app.command()
def tail(
    target: Target = None,
    project: Project = "default",
    from_position: FromPosition = 0,
    consumer: Annotated[
        str, typer.Option(help="Begin after this consumer's position, and move it along.")
    ] = "",
    type_: Types = None,
    allow_gaps: AllowGaps = False,
    as_json: AsJson = False,
) -> None:
    """Print events as they are published, until Ctrl-C. Continues across server restarts."""
    with connected(target, project) as client:
        for entry in client.feed.entries(
            from_position, consumer=consumer, types=type_ or (), allow_gaps=allow_gaps
        ):
            _print(entry, as_json=as_json)
            if consumer:
                client.feed.commit(consumer, entry.position)


@app.command()
def consumers(target: Target = None, project: Project = "default", as_json: AsJson = False) -> None:
    """List the project's consumers and their positions."""
    with connected(target, project) as client:
        found = list(client.feed.consumers())
    if as_json:
        for consumer in found:
            print_json(consumer_value(consumer))
    else:
        print_consumers(found)


@app.command()
def reset(
    consumer: Name,
    target: Target = None,
    project: Project = "default",
    position: Annotated[
        int, typer.Option(help="Last position that counts as done; 0 starts over.", min=0)
    ] = 0,
) -> None:
    """Move a consumer to any position."""
    with connected(target, project) as client:
        moved = client.feed.reset(consumer, position)
    typer.echo(f"{moved.name} continues at position {moved.position + 1}")


def _print(entry: FeedEntry, *, as_json: bool) -> None:
    if as_json:
        print_json(entry_value(entry))
    else:
        print_entry(entry)
